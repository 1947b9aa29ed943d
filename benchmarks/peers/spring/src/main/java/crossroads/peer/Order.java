package crossroads.peer;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.JsonNode;
import jakarta.validation.Valid;
import jakarta.validation.constraints.NotBlank;
import jakarta.validation.constraints.NotEmpty;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Positive;
import java.time.Instant;
import java.util.List;

/** A create order as it is given, and as its destination reads it. */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record Order(
        @NotBlank String originOrderNumber,
        String po,
        @NotNull @Valid Window deliveryWindow,
        String note,
        @NotEmpty List<@Valid Drop> drops,
        JsonNode extraData) {

    public record Window(@NotNull Instant start, @NotNull Instant end, String timezone) {}

    @JsonInclude(JsonInclude.Include.NON_NULL)
    public record Key(@NotBlank String sourceId, String sourceName) {}

    @JsonInclude(JsonInclude.Include.NON_NULL)
    public record SiteKey(
            @NotBlank String sourceId, String sourceName, String tankId, String productSourceId) {}

    @JsonInclude(JsonInclude.Include.NON_NULL)
    public record Load(@Valid Key terminal, @Valid Key supplier, String priceType) {}

    @JsonInclude(JsonInclude.Include.NON_NULL)
    public record Drop(
            @NotNull @Valid SiteKey site, @Valid Key product, @Positive int volume,
            List<@Valid Load> loads) {}

    Order withDrops(List<Drop> mapped) {
        return new Order(originOrderNumber, po, deliveryWindow, note, mapped, extraData);
    }
}
