package tocsin.bench;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** A payment on its way to the payee's side, with the features of the payer's. */
record Forwarded(Payment payment, double[] payerFeatures) {

    static Serde<Forwarded> serde() {
        return Serdes.serdeFrom((topic, forwarded) -> forwarded.write(), (topic, bytes) -> read(bytes));
    }

    private byte[] write() {
        byte[][] texts = {
            utf8(payment.id()),
            utf8(payment.payer()),
            utf8(payment.payerCountry()),
            utf8(payment.payee()),
            utf8(payment.payeeCountry()),
        };
        int size = 2 * Long.BYTES + payerFeatures.length * Double.BYTES;
        for (byte[] text : texts) {
            size += Short.BYTES + text.length;
        }
        ByteBuffer buffer = ByteBuffer.allocate(size);
        buffer.putLong(payment.eventTimeMs()).putLong(payment.amountMinor());
        for (double feature : payerFeatures) {
            buffer.putDouble(feature);
        }
        for (byte[] text : texts) {
            buffer.putShort((short) text.length).put(text);
        }
        return buffer.array();
    }

    private static Forwarded read(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        long eventTimeMs = buffer.getLong();
        long amountMinor = buffer.getLong();
        double[] features = new double[DecayedSums.SIZE];
        for (int at = 0; at < features.length; at++) {
            features[at] = buffer.getDouble();
        }
        String id = text(buffer);
        String payer = text(buffer), payerCountry = text(buffer);
        String payee = text(buffer), payeeCountry = text(buffer);
        return new Forwarded(
                new Payment(id, eventTimeMs, amountMinor, payer, payerCountry, payee, payeeCountry), features);
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(ByteBuffer buffer) {
        byte[] text = new byte[buffer.getShort()];
        buffer.get(text);
        return new String(text, StandardCharsets.UTF_8);
    }
}
