import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;

/** Kafka Streams: windows of 50 in a processor, which asks for a commit after each. */
public final class Peer {
    private static final int WINDOW = 50;

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static final class Windows implements Processor<byte[], byte[], byte[], byte[]> {
        private final ObjectMapper json = new ObjectMapper();
        private final List<Record<byte[], byte[]>> window = new ArrayList<>();
        private ProcessorContext<byte[], byte[]> context;

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
            context.schedule(Duration.ofSeconds(1), PunctuationType.WALL_CLOCK_TIME, now -> decide());
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            window.add(record);
            if (window.size() == WINDOW) {
                decide();
            }
        }

        private void decide() {
            if (window.isEmpty()) {
                return;
            }
            for (Record<byte[], byte[]> record : window) {
                context.forward(decided(record));
            }
            window.clear();
            context.commit();
        }

        private Record<byte[], byte[]> decided(Record<byte[], byte[]> record) {
            try {
                JsonNode upload = json.readTree(record.value());
                ObjectNode decision = json.createObjectNode();
                decision.put("media_id", upload.get("media_id").asText());
                decision.put("outcome", "approved");
                decision.putArray("reasons");
                decision.putObject("scores").put("nsfw", 0.01);
                decision.put("scanner", "stub");
                decision.set("upload", upload);
                byte[] cause = record.headers().lastHeader("ce_id").value();
                RecordHeaders headers = new RecordHeaders();
                headers.add("ce_specversion", bytes("1.0"));
                headers.add("ce_id", bytes("decision-" + new String(cause, StandardCharsets.UTF_8)));
                headers.add("ce_type", bytes("mediagate.approved.v1"));
                headers.add("ce_source", bytes("/peer"));
                headers.add("ce_time", bytes(Long.toString(System.currentTimeMillis())));
                headers.add("ce_subject", record.key());
                headers.add("ce_causationid", cause);
                headers.add("content-type", bytes("application/json"));
                return new Record<>(record.key(), json.writeValueAsBytes(decision), record.timestamp(), headers);
            } catch (java.io.IOException error) {
                throw new IllegalStateException(error);
            }
        }
    }

    public static void main(String[] arguments) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, System.getenv("GROUP"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("SERVERS"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, System.getenv("GUARANTEE"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("STATE"));
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.producerPrefix("acks"), "all");
        Topology topology = new Topology();
        topology.addSource(
                "uploads", new ByteArrayDeserializer(), new ByteArrayDeserializer(), System.getenv("INPUT"));
        topology.addProcessor("windows", Windows::new, "uploads");
        topology.addSink(
                "decisions", System.getenv("OUTPUT"), new ByteArraySerializer(), new ByteArraySerializer(), "windows");
        KafkaStreams streams = new KafkaStreams(topology, settings);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }
}
