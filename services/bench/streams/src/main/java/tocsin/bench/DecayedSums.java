package tocsin.bench;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/**
 * An account's state: eight quantities of its payments, each summed under eight half-lives of event time. The sums as
 * they stood before a payment are the features of one of its sides.
 */
final class DecayedSums {
    static final int QUANTITIES = 8;
    static final int SIZE = QUANTITIES * 8;

    private static final double HOUR_MS = 3_600_000.0;
    private static final double[] RATES_PER_MS =
            Arrays.stream(new double[] {1, 6, 24, 72, 168, 720, 2_160, 4_320})
                    .map(hours -> Math.log(2) / (hours * HOUR_MS))
                    .toArray();
    private static final int BYTES = (SIZE + 2) * Long.BYTES;

    final double[] sums = new double[SIZE];
    private long lastMs;
    private long lastCounterparty;

    /** Lets time pass until the payment, and returns the features as of it. Late payments find no time passed. */
    double[] before(Payment payment) {
        double elapsedMs = Math.max(0, payment.eventTimeMs() - lastMs);
        for (int rate = 0; rate < RATES_PER_MS.length; rate++) {
            double factor = Math.exp(-elapsedMs * RATES_PER_MS[rate]);
            for (int at = rate * QUANTITIES; at < (rate + 1) * QUANTITIES; at++) {
                sums[at] *= factor;
            }
        }
        lastMs = Math.max(lastMs, payment.eventTimeMs());
        return sums.clone();
    }

    /** Counts the payment in; {@code counterparty} is the account on its other side. */
    void add(Payment payment, String counterparty) {
        double amount = payment.amountMinor();
        long hour = Math.floorMod(payment.eventTimeMs(), 24 * 3_600_000L) / 3_600_000L;
        double[] quantities = {
            1.0,
            amount,
            amount * amount,
            Math.log1p(amount),
            payment.payerCountry().equals(payment.payeeCountry()) ? 0.0 : 1.0,
            hour < 6 ? 1.0 : 0.0,
            payment.amountMinor() % 1_000 == 0 ? 1.0 : 0.0,
            counterparty.hashCode() == lastCounterparty ? 0.0 : 1.0,
        };
        lastCounterparty = counterparty.hashCode();
        for (int at = 0; at < SIZE; at++) {
            sums[at] += quantities[at % QUANTITIES];
        }
    }

    static Serde<DecayedSums> serde() {
        return Serdes.serdeFrom((topic, state) -> state.write(), (topic, bytes) -> read(bytes));
    }

    private byte[] write() {
        ByteBuffer buffer = ByteBuffer.allocate(BYTES).putLong(lastMs).putLong(lastCounterparty);
        buffer.asDoubleBuffer().put(sums);
        return buffer.array();
    }

    private static DecayedSums read(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        DecayedSums state = new DecayedSums();
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        state.lastMs = buffer.getLong();
        state.lastCounterparty = buffer.getLong();
        buffer.asDoubleBuffer().get(state.sums);
        return state;
    }
}
