package crossroads.peer;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/** Publishes what was stored, in order, and deletes it once the broker has acknowledged it. */
@Component
class Outbox {

    private static final String NEXT =
            "SELECT id, message_key, payload FROM benchmark_spring_outbox ORDER BY id LIMIT ?"
                    + " FOR UPDATE SKIP LOCKED";
    private static final String DELETE = "DELETE FROM benchmark_spring_outbox WHERE id = ANY (?)";

    private record Row(long id, String key, byte[] payload) {}

    private final JdbcTemplate jdbc;
    private final KafkaTemplate<String, byte[]> kafka;
    private final TransactionTemplate transaction;
    private final String topic;
    private final int batch;

    Outbox(
            JdbcTemplate jdbc,
            KafkaTemplate<String, byte[]> kafka,
            TransactionTemplate transaction,
            @Value("${peer.out}") String topic,
            @Value("${peer.outbox.batch}") int batch) {
        this.jdbc = jdbc;
        this.kafka = kafka;
        this.transaction = transaction;
        this.topic = topic;
        this.batch = batch;
    }

    @Scheduled(fixedDelayString = "${peer.outbox.delay-ms}")
    void publish() {
        // As long as a batch was full there may be more.
        int published;
        do {
            published = transaction.execute(status -> publishBatch());
        } while (published == batch);
    }

    private int publishBatch() {
        List<Row> rows = jdbc.query(
                NEXT,
                (found, number) -> new Row(found.getLong(1), found.getString(2), found.getBytes(3)),
                batch);
        if (rows.isEmpty()) {
            return 0;
        }
        CompletableFuture<?>[] sent = rows.stream()
                .map(row -> kafka.send(topic, row.key(), row.payload()))
                .toArray(CompletableFuture[]::new);
        CompletableFuture.allOf(sent).join();
        jdbc.update(DELETE, (Object) rows.stream().map(Row::id).toArray(Long[]::new));
        return rows.size();
    }
}
