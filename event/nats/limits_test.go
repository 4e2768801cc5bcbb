package nats_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// small starts a server whose max_payload is 4 KiB, and opens a stream on it.
func small(t *testing.T) (*servertest.Server, event.Stream) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte("max_payload: 4096\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := servertest.NATS(t, servertest.WithArgs("-c", file))
	s, err := event.New(patient(nats.Backend(server.Addr()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(t.Context()) })
	return server, s
}

func count(t *testing.T, s event.Stream, opts ...event.QueryOption) int {
	t.Helper()
	n := 0
	for _, err := range s.Query(t.Context(), opts...) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestWhatTheServerWontTakeIsTooLargeBeforeAnythingIsSent(t *testing.T) {
	leak.Check(t)
	server, s := small(t)
	data := func(n int) *event.Record { return &event.Record{Type: "t", Data: make([]byte, n)} }
	if err := s.Publish(t.Context(), data(3900)); err != nil {
		t.Fatalf("a record below the server's limit: %v", err)
	}
	for name, rs := range map[string][]*event.Record{
		"alone": {data(4096)}, "behind others": {data(1), data(1), data(4096)},
		"long type": {{Type: strings.Repeat("x.", 1500) + "x"}},
	} {
		if err := s.Publish(t.Context(), rs...); !errors.Is(err, event.ErrTooLarge) || errors.Is(err, event.ErrUnknownOutcome) {
			t.Errorf("%s: Publish = %v, want ErrTooLarge", name, err)
		}
	}
	if n := count(t, s); n != 1 {
		t.Errorf("%d records stored, want the one below the limit", n)
	}

	nc, err := gonats.Connect(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, _ := jetstream.New(nc)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "events-small", Subjects: []string{"events.small.>"}, MaxMsgSize: 1000}); err != nil {
		t.Fatal(err)
	}
	narrow, err := event.New(patient(nats.Backend(server.Addr()), event.WithNamespace("small"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer narrow.Close(t.Context())
	if err := narrow.Publish(t.Context(), data(1), data(1000)); !errors.Is(err, event.ErrTooLarge) || count(t, narrow) != 0 {
		t.Errorf("above the stream's max_msg_size: %v and %d stored, want ErrTooLarge and none", err, count(t, narrow))
	}
}

func TestDeadLetterThatDoesNotFitIsCut(t *testing.T) {
	leak.Check(t)
	_, s := small(t)
	dead := make(chan *event.Record, 1)
	for _, err := range []error{
		subscribe(t, s, func(r *event.Record) error { return event.Terminate(errors.New(strings.Repeat("why ", 250))) }, event.Group("g")),
		subscribe(t, s, func(r *event.Record) error { dead <- r; return nil }, event.Types("dead.*")),
		s.Publish(t.Context(), &event.Record{ID: "1", Type: "t", Data: make([]byte, 3900)}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	select {
	case d := <-dead:
		if d.Metadata[event.DeadID] != "1" || d.Metadata[event.DeadPosition] == "" || len(d.Data) != 0 || d.Metadata[event.DeadCut] == "" {
			t.Errorf("dead letter %+v, want one without Data that says so", d)
		}
		if _, ok := event.Original(d); ok {
			t.Error("Original gave back a record that was cut")
		}
	case <-time.After(60 * time.Second):
		t.Fatal("no dead letter")
	}
}

func TestGroupsAreSentOnlyTheirTypes(t *testing.T) {
	leak.Check(t)
	server := servertest.SharedNATS(t)
	ns := servertest.Namespace(t)
	s, err := event.New(patient(nats.Backend(server.Addr()), event.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	groups := map[string][]string{
		"one": {"a.x"}, "star": {"a.*"}, "deep": {"a.**"}, "both": {"a.*", "b.y"}, "within": {"a.x", "a.**"},
		"crossed": {"a.*", "*.x"}, "any first": {"*.x"}, "odd": {"o d.y", "a..b"},
	}
	got := map[string]chan string{}
	for name, types := range groups {
		got[name] = make(chan string, 20)
		if err := subscribe(t, s, func(r *event.Record) error { got[name] <- r.Type; return nil }, event.Group(name), event.Types(types...)); err != nil {
			t.Fatalf("group %q: %v", name, err)
		}
	}
	for _, typ := range []string{"a", "a.x", "a.y", "a.x.z", "b.y", "b.x", "a..b", "dead.x", "o d.x"} {
		if err := s.Publish(t.Context(), &event.Record{Type: typ}); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]string{
		"one": {"a.x"}, "star": {"a.x", "a.y"}, "deep": {"a.x", "a.y", "a.x.z", "a..b"}, "both": {"a.x", "a.y", "b.y"},
		"within": {"a.x", "a.y", "a.x.z", "a..b"}, "crossed": {"a.x", "a.y", "b.x", "o d.x"}, "any first": {"a.x", "b.x", "o d.x"}, "odd": {"a..b"},
	} {
		var have []string
		for range want {
			select {
			case typ := <-got[name]:
				have = append(have, typ)
			case <-time.After(60 * time.Second):
				t.Fatalf("group %s was handed %q, want %q", name, have, want)
			}
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			t.Errorf("group %s was handed %q, want %q", name, have, want)
		}
	}
	nc, err := gonats.Connect(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, _ := jetstream.New(nc)
	c, err := js.Consumer(t.Context(), "events-"+strings.ReplaceAll(ns, "_", "_5F"), "one")
	if err != nil {
		t.Fatal(err)
	}
	if i := c.CachedInfo(); i.Delivered.Consumer != 1 {
		t.Errorf("the server sent the group of one type %d records, want 1", i.Delivered.Consumer)
	}
}

func TestRetentionDoesNotWaitForTypesThatAGroupDoesNotRead(t *testing.T) {
	leak.Check(t)
	s, err := event.New(patient(nats.Backend(servertest.SharedNATS(t).Addr()), event.WithNamespace(servertest.Namespace(t)),
		event.WithRetention(event.Retention{Count: 10}), event.WithRetentionEvery(10*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	handled := make(chan string, 1)
	sub, err := s.Subscribe(t.Context(), handler(func(r *event.Record) error { handled <- r.Type; return nil }), event.Group("g"), event.Types("rare"))
	if err != nil {
		t.Fatal(err)
	}
	publish := func(typ string, n int) {
		t.Helper()
		for i := range n {
			if err := s.Publish(t.Context(), &event.Record{Type: typ, Subject: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish("rare", 1)
	<-handled
	publish("often", 50)
	until(t, "what no group reads is removed", func() bool { return count(t, s) <= 10 })
	if err := sub.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish("rare", 1) // and now nobody reads it
	publish("often", 50)
	<-time.After(100 * time.Millisecond)
	if n := count(t, s, event.Types("rare")); n != 1 {
		t.Errorf("%d records that the group has not read are left, want 1", n)
	}
}
