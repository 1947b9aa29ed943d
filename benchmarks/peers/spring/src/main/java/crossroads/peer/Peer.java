package crossroads.peer;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.event.EventListener;
import org.springframework.boot.context.event.ApplicationReadyEvent;
import org.springframework.scheduling.annotation.EnableScheduling;

/** Create orders from a topic, mapped, through a transactional outbox, to another topic. */
@SpringBootApplication
@EnableScheduling
public class Peer {

    public static void main(String[] arguments) {
        SpringApplication.run(Peer.class, arguments);
    }

    @EventListener(ApplicationReadyEvent.class)
    void ready() {
        System.out.println("ready");
    }
}
