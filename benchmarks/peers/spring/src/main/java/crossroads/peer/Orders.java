package crossroads.peer;

import com.fasterxml.jackson.databind.ObjectMapper;
import jakarta.validation.ConstraintViolationException;
import jakarta.validation.Validator;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.stereotype.Component;
import org.springframework.transaction.annotation.Transactional;

/** One transaction a poll: the orders, and what is to be published of them. */
@Component
class Orders {

    private static final String INSERT =
            "INSERT INTO benchmark_spring_orders (origin_number, document) VALUES (?, ?::jsonb)"
                    + " ON CONFLICT (origin_number) DO NOTHING";
    private static final String OUTBOX =
            "INSERT INTO benchmark_spring_outbox (message_key, payload) VALUES (?, ?)";
    private static final String KNOWN =
            "SELECT origin_number FROM benchmark_spring_orders WHERE origin_number = ANY (?)";

    private final JdbcTemplate jdbc;
    private final ObjectMapper json;
    private final Validator validator;
    private final Mappings mappings;

    Orders(JdbcTemplate jdbc, ObjectMapper json, Validator validator, Mappings mappings) {
        this.jdbc = jdbc;
        this.json = json;
        this.validator = validator;
        this.mappings = mappings;
    }

    @KafkaListener(topics = "${peer.in}")
    @Transactional
    public void create(List<byte[]> values) throws IOException {
        Map<String, Order> fresh = new LinkedHashMap<>();
        for (byte[] value : values) {
            Order order = json.readValue(value, Order.class);
            var wrong = validator.validate(order);
            if (!wrong.isEmpty()) {
                throw new ConstraintViolationException(wrong);
            }
            fresh.putIfAbsent(order.originOrderNumber(), order);
        }
        String[] numbers = fresh.keySet().toArray(String[]::new);
        fresh.keySet().removeAll(
                jdbc.queryForList(KNOWN, String.class, (Object) numbers));
        List<Object[]> orders = new ArrayList<>();
        List<Object[]> outgoing = new ArrayList<>();
        for (Order order : fresh.values()) {
            orders.add(new Object[] {order.originOrderNumber(), json.writeValueAsString(order)});
            outgoing.add(new Object[] {
                order.originOrderNumber(), json.writeValueAsBytes(mappings.mapped(order))
            });
        }
        jdbc.batchUpdate(INSERT, orders);
        jdbc.batchUpdate(OUTBOX, outgoing);
    }
}
