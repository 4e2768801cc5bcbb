package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	goredis "github.com/redis/go-redis/v9"
)

// TestFullMemory: a server that evicts nothing refuses what is published, and
// groups go on with what is there. One that may evict the stream does so, which New
// warns of. With room again, all of them work.
func TestFullMemory(t *testing.T) {
	server := servertest.Redis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	for _, c := range []struct{ policy, advice string }{
		{"noeviction", ""},
		{"volatile-lru", "order"}, {"volatile-lfu", "order"}, {"volatile-random", "order"}, {"volatile-ttl", "order"},
		{"allkeys-lru", "whole streams"}, {"allkeys-lfu", "whole streams"}, {"allkeys-random", "whole streams"},
	} {
		t.Run(c.policy, func(t *testing.T) {
			leak.Check(t)
			set := func(limit string) {
				t.Helper()
				if err := errors.Join(admin.ConfigSet(t.Context(), "maxmemory-policy", c.policy).Err(), admin.ConfigSet(t.Context(), "maxmemory", limit).Err()); err != nil {
					t.Fatal(err)
				}
			}
			set("1gb")
			var log bytes.Buffer
			s, err := event.New(patient(redis.Backend(server.Addr()), event.WithNamespace(c.policy), event.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))...)
			if err != nil {
				t.Fatal(err)
			}
			if said := log.String(); (said == "") != (c.advice == "") || !strings.Contains(said, c.advice) {
				t.Errorf("the log is %q, want %q in it", said, c.advice)
			}
			handled := make(chan string, 100)
			full := make(chan struct{})
			for group, opts := range map[string][]event.SubscribeOption{"shared": nil, "ordered": {event.Ordered(event.BySubject)}} {
				if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
					<-full
					handled <- group + " " + r.Subject
					return nil
				}, append(opts, event.Group(group), event.AckWait(2*time.Second))...); err != nil {
					t.Fatal(err)
				}
			}
			all := func(subjects ...string) {
				t.Helper()
				want := map[string]bool{}
				for _, s := range subjects {
					want["shared "+s], want["ordered "+s] = true, true
				}
				for timeout := time.After(60 * time.Second); len(want) > 0; {
					select {
					case got := <-handled:
						delete(want, got)
					case <-timeout:
						t.Fatalf("not handled within a minute: %v", want)
					}
				}
			}
			numbered(t, s, 0, 3)
			if got := found(t, s, event.Root("root1")); !slices.Equal(got, []string{"1"}) {
				t.Errorf("by root: %v", got)
			}
			set("1")
			close(full)
			if err := s.Publish(t.Context(), &event.Record{Type: "t", Subject: "refused"}); !errors.Is(err, event.ErrUnavailable) {
				t.Errorf("Publish with a full memory: %v, want ErrUnavailable", err)
			}
			kept := fmt.Sprint(found(t, s), found(t, s, event.ID("id2")))
			if strings.HasPrefix(c.policy, "allkeys") {
				for deadline := time.Now().Add(60 * time.Second); kept != "[] []"; kept = fmt.Sprint(found(t, s), found(t, s, event.ID("id2"))) {
					if time.Now().After(deadline) {
						t.Fatalf("%s are left in a full memory", kept)
					}
				}
			} else {
				all("0", "1", "2") // were handed out, and are acknowledged
				if kept != "[0 1 2] [2]" {
					t.Errorf("%s are left, want all", kept)
				}
			}
			set("0")
			for deadline := time.Now().Add(60 * time.Second); ; { // as after a loss of data, groups begin again
				err = s.Publish(t.Context(), &event.Record{ID: "after", Type: "t", Subject: "after"})
				if err == nil || time.Now().After(deadline) {
					break
				}
			}
			if err != nil {
				t.Fatalf("with room again: %v", err)
			}
			all("after")
			if got := found(t, s, event.ID("after")); !slices.Equal(got, []string{"after"}) {
				t.Errorf("by id, with room again: %v", got)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
