package nats_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A group whose deletion was interrupted can be deleted again, and joined: it begins again.
// It used to be forgotten while its consumer stayed, which kept retention from the stream.
func TestADeletionThatFailedCanBeDoneAgain(t *testing.T) {
	leak.Check(t)
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(`authorization { users = [
		{ user: all, password: p }
		{ user: some, password: p, permissions: { publish: { deny: "$JS.API.CONSUMER.DELETE.>" } } }
	] }`), 0o600); err != nil {
		t.Fatal(err)
	}
	server := servertest.NATS(t, servertest.WithArgs("-c", file))
	open := func(user string, opts ...event.Option) event.Stream {
		t.Helper()
		s, err := event.New(patient(append(opts, nats.Backend("nats://"+user+":p@"+server.Addr()))...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(t.Context()) })
		return s
	}
	some, all := open("some", event.WithTimeout(time.Second)), open("all") // what is not allowed has no answer
	nc, err := gonats.Connect("nats://all:p@" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	publish := func(id string) {
		t.Helper()
		if err := all.Publish(t.Context(), &event.Record{ID: id, Type: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan string, 10)
	join := func() event.Subscription {
		t.Helper()
		sub, err := all.Subscribe(t.Context(), handler(func(r *event.Record) error { got <- r.ID; return nil }), event.Group("g"), event.From(event.Beginning()))
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	fail := func() {
		t.Helper()
		kv, err := js.KeyValue(t.Context(), "events-groups")
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the deletion has begun", func() bool {
			if err := some.DeleteGroup(t.Context(), "g"); err == nil || errors.Is(err, event.ErrNotFound) {
				t.Fatalf("DeleteGroup that may not delete the consumer: %v, want an error", err)
			}
			e, err := kv.Get(t.Context(), "g.g")
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(string(e.Value()), `"gone":true`)
		})
	}
	publish("1")
	sub := join()
	until(t, "handled", func() bool { return len(got) == 1 })
	fail()
	publish("2")
	until(t, "the member is told", func() bool { return errors.Is(sub.Stats().Err, event.ErrNotFound) || len(got) > 1 })
	if err := sub.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for len(got) > 0 {
		<-got
	}
	sub = join()
	until(t, "both again", func() bool { return len(got) == 2 })
	if err := sub.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	fail()
	if err := all.DeleteGroup(t.Context(), "g"); err != nil {
		t.Errorf("DeleteGroup again: %v", err)
	}
	if _, err := js.Consumer(t.Context(), "events", "g"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("the consumer: %v, want ErrConsumerNotFound", err)
	}
	if err := all.DeleteGroup(t.Context(), "g"); !errors.Is(err, event.ErrNotFound) {
		t.Errorf("DeleteGroup of a deleted group: %v, want ErrNotFound", err)
	}
	groups, err := all.Groups(t.Context())
	if err != nil || len(groups) != 0 {
		t.Errorf("groups %v, %v, want none", groups, err)
	}
}
