package tocsin.bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;

/** What the application reads of a payment of {@code payments.v1}. */
record Payment(
        String id,
        long eventTimeMs,
        long amountMinor,
        String payer,
        String payerCountry,
        String payee,
        String payeeCountry) {
    private static final JsonFactory JSON = new JsonFactory();

    /** The payment in {@code json}; fields that nothing here reads are passed over. */
    static Payment read(byte[] json) throws IOException {
        String id = null, payer = null, payerCountry = null, payee = null, payeeCountry = null;
        long eventTimeMs = 0, amountMinor = 0;
        try (JsonParser parser = JSON.createParser(json)) {
            parser.nextToken();
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String field = parser.currentName();
                parser.nextToken();
                switch (field) {
                    case "payment_id" -> id = parser.getText();
                    case "event_time_ms" -> eventTimeMs = parser.getLongValue();
                    case "amount_minor" -> amountMinor = parser.getLongValue();
                    case "payer" -> {
                        String[] party = party(parser);
                        payer = party[0];
                        payerCountry = party[1];
                    }
                    case "payee" -> {
                        String[] party = party(parser);
                        payee = party[0];
                        payeeCountry = party[1];
                    }
                    default -> parser.skipChildren();
                }
            }
        }
        return new Payment(id, eventTimeMs, amountMinor, payer, payerCountry, payee, payeeCountry);
    }

    private static String[] party(JsonParser parser) throws IOException {
        String[] party = {null, ""};
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String field = parser.currentName();
            parser.nextToken();
            switch (field) {
                case "account" -> party[0] = parser.getText();
                case "country" -> party[1] = parser.getText();
                default -> parser.skipChildren();
            }
        }
        return party;
    }
}
