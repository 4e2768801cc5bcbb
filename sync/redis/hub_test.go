package redis

import (
	"testing"
	"time"

	redisconn "github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/servertest"
)

// The hub subscribes and unsubscribes one channel without touching the others, and rests
// when nothing is left to send.
func TestTheHubListensAtItsServer(t *testing.T) {
	c, err := redisconn.Open(redisconn.Config{Address: servertest.SharedRedis(t).Addr()})
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(c)
	defer n.close()
	prefix := servertest.Namespace(t) + "/"
	hears := func(s *subscriber, want string) {
		t.Helper()
		for limit := time.After(30 * time.Second); ; {
			select {
			case m := <-s.messages:
				if m == want {
					return
				}
			case <-limit:
				t.Fatalf("no %q on %s within 30 s", want, s.channel)
			}
		}
	}
	publish := func(channel, message string) {
		t.Helper()
		if err := c.Publish(t.Context(), prefix+channel, message).Err(); err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !ok(); <-time.After(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not within 30 s: %s", what)
			}
		}
	}
	nobody := func(channel string) func() bool {
		return func() bool { return c.PubSubNumSub(t.Context(), prefix+channel).Val()[prefix+channel] == 0 }
	}

	a := n.hub.join(prefix + "a")
	hears(a, "") // subscribed
	b := n.hub.join(prefix + "b")
	hears(b, "")
	publish("a", "one")
	hears(a, "one")
	again := n.hub.join(prefix + "a")
	hears(again, "") // at once: something may have been missed
	a.leave()
	publish("a", "two")
	hears(again, "two")
	again.leave()
	until("a is left", nobody("a"))
	publish("b", "three")
	hears(b, "three")
	a = n.hub.join(prefix + "a")
	hears(a, "")
	publish("a", "four")
	hears(a, "four")
	until("the sender ends", func() bool {
		n.hub.mu.Lock()
		defer n.hub.mu.Unlock()
		return !n.hub.sending
	})
}
