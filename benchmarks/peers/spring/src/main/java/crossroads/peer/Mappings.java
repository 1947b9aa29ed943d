package crossroads.peer;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.dao.support.DataAccessUtils;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.core.RowMapper;
import org.springframework.stereotype.Repository;

/** What an origin's keys are called at the destination: the hub's own tables, key by key. */
@Repository
class Mappings {

    record Tank(String tankId, String productSourceId, String tankGoid) {}

    private record Side(String tenant, String system) {}

    private record Mapping(String sourceId, String sourceName, String goid, List<Tank> tanks) {}

    private static final String SIDE =
            "SELECT t.id, s ->> 'name' FROM tenants AS t, json_array_elements(t.systems) AS s"
                    + " WHERE t.slug = ? LIMIT 1";
    private static final String COLUMNS = "SELECT source_id, source_name, goid, tanks FROM mappings";
    private static final String BY_SOURCE =
            COLUMNS + " WHERE tenant_id = ? AND system = ? AND entity = ? AND source_id = ?";
    private static final String BY_GOID =
            COLUMNS + " WHERE tenant_id = ? AND system = ? AND goid = ?"
                    + " ORDER BY is_primary DESC, age LIMIT 1";

    private final JdbcTemplate jdbc;
    private final RowMapper<Mapping> row;
    private final Side origin;
    private final Side destination;

    Mappings(
            JdbcTemplate jdbc,
            ObjectMapper json,
            @Value("${peer.origin}") String origin,
            @Value("${peer.destination}") String destination) {
        this.jdbc = jdbc;
        this.row = (found, number) -> new Mapping(
                found.getString(1), found.getString(2), found.getString(3),
                tanks(json, found.getString(4)));
        this.origin = side(origin);
        this.destination = side(destination);
    }

    Order mapped(Order order) {
        return order.withDrops(order.drops().stream().map(this::drop).toList());
    }

    private Order.Drop drop(Order.Drop drop) {
        List<Order.Load> loads = drop.loads() == null ? List.of() : drop.loads();
        return new Order.Drop(
                site(drop.site()),
                key("product", drop.product()),
                drop.volume(),
                loads.stream().map(load -> new Order.Load(
                        key("terminal", load.terminal()),
                        key("company", load.supplier()),
                        load.priceType())).toList());
    }

    private Order.Key key(String entity, Order.Key key) {
        if (key == null) {
            return null;
        }
        Mapping there = there(here(entity, key.sourceId()));
        return new Order.Key(there.sourceId(), there.sourceName());
    }

    private Order.SiteKey site(Order.SiteKey key) {
        Mapping here = here("site", key.sourceId());
        Mapping there = there(here);
        String goid = here.tanks().stream()
                .filter(tank -> key.tankId() == null
                        ? Objects.equals(tank.productSourceId(), key.productSourceId())
                        : tank.tankId().equals(key.tankId()))
                .map(Tank::tankGoid).findFirst().orElse(null);
        Tank tank = there.tanks().stream()
                .filter(each -> each.tankGoid().equals(goid)).findFirst().orElse(null);
        return new Order.SiteKey(
                there.sourceId(), there.sourceName(),
                tank == null ? null : tank.tankId(),
                tank == null ? null : tank.productSourceId());
    }

    private Mapping here(String entity, String sourceId) {
        return jdbc.queryForObject(
                BY_SOURCE, row, origin.tenant(), origin.system(), entity, sourceId);
    }

    private Mapping there(Mapping here) {
        return DataAccessUtils.requiredSingleResult(jdbc.query(
                BY_GOID, row, destination.tenant(), destination.system(), here.goid()));
    }

    private Side side(String slug) {
        return jdbc.queryForObject(
                SIDE, (found, number) -> new Side(found.getString(1), found.getString(2)), slug);
    }

    private static List<Tank> tanks(ObjectMapper json, String text) {
        try {
            return Arrays.asList(json.readValue(text, Tank[].class));
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }
}
