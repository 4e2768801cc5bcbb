package nats_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/links"
	"github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// deletable opens a stream, and what deletes parts of it behind its back.
func deletable(t *testing.T) (s event.Stream, js jetstream.JetStream, name string) {
	t.Helper()
	leak.Check(t)
	server, ns := servertest.SharedNATS(t), servertest.Namespace(t)
	c, err := gonats.Connect(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	js, err = jetstream.New(c)
	if err != nil {
		t.Fatal(err)
	}
	s, err = event.New(patient(nats.Backend(server.Addr()), event.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s, js, "events-" + ns
}

// A member that waits for its turn while the stream is deleted and made again begins with
// what the new one has, also where that is below where the group began.
func TestAWaitingMemberBeginsInTheNewStream(t *testing.T) {
	s, js, name := deletable(t)
	for _, id := range []string{"1", "2", "3"} { // before the group
		links.Publish(t, s, id)
	}
	if _, err := s.Groups(t.Context()); err != nil { // the bucket is there then
		t.Fatal(err)
	}
	turns, err := js.KeyValue(t.Context(), name+"-groups")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := turns.Put(t.Context(), "l.g", []byte("a member that has ended")); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 10)
	err = subscribe(t, s, func(r *event.Record) error { got <- r.ID; return nil },
		event.Group("g"), event.Ordered(event.BySubject), event.AckWait(3*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	links.Publish(t, s, "new")
	until(t, "the group is handed something", func() bool { return len(got) > 0 })
	if id := <-got; id != "new" {
		t.Errorf("the group was handed %q, want what the new stream has", id)
	}
}

// A consumer that goes while its member is busy, and so asks it for nothing, is made again.
func TestAConsumerThatGoesUnnoticedIsMadeAgain(t *testing.T) {
	for name, opts := range map[string][]event.SubscribeOption{"shared": nil, "ordered": {event.Ordered(event.BySubject)}} {
		t.Run(name, func(t *testing.T) {
			s, js, name := deletable(t)
			begun, release, got := make(chan string, 10), make(chan struct{}), make(chan string, 10)
			free := sync.OnceFunc(func() { close(release) })
			defer free()
			err := subscribe(t, s, func(r *event.Record) error {
				begun <- r.ID
				<-release
				if r.ID == "2" {
					got <- r.ID
				}
				return nil
			}, append(opts, event.Group("g"), event.Batch(1))...)
			if err != nil {
				t.Fatal(err)
			}
			links.Publish(t, s, "1")
			until(t, "the handler has begun", func() bool { return len(begun) > 0 })
			if err := js.DeleteConsumer(t.Context(), name, "g"); err != nil {
				t.Fatal(err)
			}
			links.Publish(t, s, "2")
			free()
			until(t, "the next record is handled", func() bool { return len(got) > 0 })
		})
	}
}

// The server forgets a consumer that nobody asks for half a minute: a reader that comes
// back later goes on where it was.
func TestAQueryOutlastsItsConsumer(t *testing.T) {
	s, js, name := deletable(t)
	const n = 600 // more than a page
	var records []*event.Record
	for i := range n {
		records = append(records, &event.Record{Type: "t", Subject: fmt.Sprint(i)})
	}
	if err := s.Publish(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	came := 0
	for r, err := range s.Query(t.Context()) {
		if err != nil || r.Subject != fmt.Sprint(came) {
			t.Fatalf("after %d records: %v, %v", came, r, err)
		}
		came++
		if came > 1 {
			continue
		}
		forgotten := 0
		for consumer := range stream.ConsumerNames(t.Context()).Name() {
			if err := js.DeleteConsumer(t.Context(), name, consumer); err != nil {
				t.Fatal(err)
			}
			forgotten++
		}
		if forgotten != 1 {
			t.Fatalf("the server had %d consumers, want that of the query", forgotten)
		}
	}
	if came != n {
		t.Errorf("the query ended after %d records of %d", came, n)
	}
}

// Who only looks at the groups, or deletes one, does not keep to a stream that somebody
// has deleted.
func TestGroupsOfADeletedStream(t *testing.T) {
	for name, ask := range map[string]func(t *testing.T, s event.Stream){
		"list": func(t *testing.T, s event.Stream) {
			until(t, "the groups are listed", func() bool {
				_, err := s.Groups(t.Context())
				return err == nil
			})
		},
		"delete": func(t *testing.T, s event.Stream) {
			if err := s.DeleteGroup(t.Context(), "g"); err != nil {
				t.Errorf("a group whose consumer went with the stream: %v, want it deleted", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, js, name := deletable(t)
			sub, err := s.Subscribe(t.Context(), handler(func(*event.Record) error { return nil }), event.Group("g"))
			if err != nil {
				t.Fatal(err)
			}
			if err := sub.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := js.DeleteStream(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			ask(t, s)
		})
	}
}

// The first member that finds the stream made again notes it. The others used to be
// refused if they came at the same time.
func TestMembersThatFindTheStreamMadeAgainTogether(t *testing.T) {
	s, js, name := deletable(t)
	nothing := handler(func(*event.Record) error { return nil })
	sub, err := s.Subscribe(t.Context(), nothing, event.Group("g"))
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	until(t, "the stream is made again", func() bool { return s.Publish(t.Context(), &event.Record{Type: "t"}) == nil })
	var members sync.WaitGroup
	for range 20 {
		members.Go(func() {
			if _, err := s.Subscribe(t.Context(), nothing, event.Group("g")); err != nil {
				t.Error(err)
			}
		})
	}
	members.Wait()
}
