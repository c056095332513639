package tocsin.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** The two sides of a payment, each a processor with a state store of its own. */
final class Sides {
    static final String PAYERS = "payers";
    static final String PAYEES = "payees";

    private Sides() {}

    private abstract static class Side<VIn, KOut, VOut> extends ContextualProcessor<String, VIn, KOut, VOut> {
        private final String name;
        private KeyValueStore<String, DecayedSums> accounts;

        Side(String name) {
            this.name = name;
        }

        @Override
        public void init(ProcessorContext<KOut, VOut> context) {
            super.init(context);
            accounts = context.getStateStore(name);
        }

        /** The features of {@code account} before {@code payment}, which is then counted in. */
        double[] measure(String account, Payment payment, String counterparty) {
            DecayedSums state = accounts.get(account);
            if (state == null) {
                state = new DecayedSums();
            }
            double[] features = state.before(payment);
            state.add(payment, counterparty);
            accounts.put(account, state);
            return features;
        }
    }

    /** Reads a payment, and sends it to its payee with the payer's features. */
    static final class Payer extends Side<byte[], String, Forwarded> {
        private final AtomicLong forwarded;

        Payer(AtomicLong forwarded) {
            super(PAYERS);
            this.forwarded = forwarded;
        }

        @Override
        public void process(Record<String, byte[]> record) {
            Payment payment;
            try {
                payment = Payment.read(record.value());
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
            double[] features = measure(payment.payer(), payment, payment.payee());
            context().forward(new Record<>(payment.payee(), new Forwarded(payment, features), record.timestamp()));
            forwarded.incrementAndGet();
        }
    }

    /** Adds the payee's features, scores, and decides. */
    static final class Payee extends Side<Forwarded, String, byte[]> {
        private final LogisticModel model = new LogisticModel();
        private final AtomicLong decided;

        Payee(AtomicLong decided) {
            super(PAYEES);
            this.decided = decided;
        }

        @Override
        public void process(Record<String, Forwarded> record) {
            Payment payment = record.value().payment();
            double[] features = measure(payment.payee(), payment, payment.payer());
            double score = model.score(record.value().payerFeatures(), features);
            context().forward(record.withValue(decision(payment, score)));
            decided.incrementAndGet();
        }

        private static byte[] decision(Payment payment, double score) {
            String outcome = score > 0 ? "review" : "pass";
            return ("{\"payment_id\":\"" + payment.id() + "\",\"event_time_ms\":" + payment.eventTimeMs()
                            + ",\"outcome\":\"" + outcome + "\",\"score\":" + score
                            + ",\"probability\":" + 1.0 / (1.0 + Math.exp(-score)) + "}")
                    .getBytes(StandardCharsets.UTF_8);
        }
    }
}
