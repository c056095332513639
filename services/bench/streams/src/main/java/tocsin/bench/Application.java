package tocsin.bench;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Payments through both sides as a Kafka Streams application: {@code payments.v1}, payer's features, repartitioning by
 * payee, payee's features, score, {@code decisions.v1}. Exactly once (v2), one thread, changelogs on.
 *
 * <p>Arguments: bootstrap servers, prefix of topics, partitions, port of metrics, folder of state, and {@code memory} or
 * {@code rocksdb}. The port tells how many payments each side has done, as Tocsin's workers tell it.
 */
public final class Application {
    private Application() {}

    public static void main(String[] arguments) throws IOException {
        String bootstrap = arguments[0], prefix = arguments[1], stateFolder = arguments[4];
        int partitions = Integer.parseInt(arguments[2]);
        boolean inMemory = arguments[5].equals("memory");
        AtomicLong forwarded = new AtomicLong(), decided = new AtomicLong();
        KafkaStreams streams = new KafkaStreams(
                topology(prefix, partitions, inMemory, forwarded, decided), configuration(bootstrap, prefix, stateFolder));
        expose(Integer.parseInt(arguments[3]), forwarded, decided);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private static Topology topology(
            String prefix, int partitions, boolean inMemory, AtomicLong forwarded, AtomicLong decided) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(accounts(Sides.PAYERS, inMemory)).addStateStore(accounts(Sides.PAYEES, inMemory));
        builder.stream(prefix + "payments.v1", Consumed.with(Serdes.String(), Serdes.ByteArray()))
                .process(() -> new Sides.Payer(forwarded), Sides.PAYERS)
                .repartition(Repartitioned.<String, Forwarded>as("by-payee")
                        .withKeySerde(Serdes.String())
                        .withValueSerde(Forwarded.serde())
                        .withNumberOfPartitions(partitions))
                .process(() -> new Sides.Payee(decided), Sides.PAYEES)
                .to(prefix + "decisions.v1", Produced.with(Serdes.String(), Serdes.ByteArray()));
        return builder.build();
    }

    private static StoreBuilder<?> accounts(String name, boolean inMemory) {
        KeyValueBytesStoreSupplier supplier =
                inMemory ? Stores.inMemoryKeyValueStore(name) : Stores.persistentKeyValueStore(name);
        return Stores.keyValueStoreBuilder(supplier, Serdes.String(), DecayedSums.serde());
    }

    private static Properties configuration(String bootstrap, String prefix, String stateFolder) {
        Properties chosen = new Properties();
        chosen.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "streams");
        chosen.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        chosen.put(StreamsConfig.STATE_DIR_CONFIG, stateFolder);
        chosen.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        chosen.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        chosen.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        chosen.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "snappy");
        return chosen;
    }

    private static void expose(int port, AtomicLong forwarded, AtomicLong decided) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/metrics", exchange -> {
            String lines = "tocsin_payments_total{hop=\"payer\",result=\"forwarded\"} " + forwarded.get() + "\n"
                    + "tocsin_payments_total{hop=\"payee\",result=\"decided\"} " + decided.get() + "\n";
            byte[] answer = lines.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }
}
