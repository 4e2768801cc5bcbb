package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	eventkafka "github.com/micro/go-platform/event/kafka"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fails makes group mailer of a stream fail at every record, so that each is a dead
// letter, until the test has seen n.
func fails(t *testing.T, url, ns string, n int, publish func()) {
	t.Helper()
	stream, err := event.New(append(backend(t, url, eventredis.URL, eventsql.URL), event.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close(context.Background())
	sub, err := stream.Subscribe(t.Context(), func(context.Context, *event.Record) error { return event.Terminate(errors.New("no such mailbox")) }, event.Group("mailer"))
	if err != nil {
		t.Fatal(err)
	}
	publish()
	// The letters come to the group too. What it has at its end is given back, and pending.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		lag, err := sub.Lag(t.Context())
		if err == nil && sub.Stats().Dead >= int64(n) && lag == (event.Lag{}) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %+v, %+v, %v, want %d dead letters and nothing left", sub.Stats(), lag, err, n)
		}
	}
}

func TestEvent(t *testing.T) {
	all := engines(t)
	for name, url := range map[string]string{
		"redis": all["redis"], "postgres": all["postgres"], "mysql": all["mysql"],
		"nats": "nats://" + servertest.SharedNATS(t).Addr(), "kafka": "kafka://" + servertest.SharedKafka(t).Addr(), "rabbitmq": servertest.SharedRabbitMQ(t).DSN(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShell(t, "PLATFORM_EVENT="+url, "PLATFORM_EVENT_NAMESPACE="+servertest.Namespace(t))
			s.steps([]step{
				{"platform event query -timeout 1m", "", "", 0}, // the first on a broker may take a while
				{`platform event publish order.created '{"n":1}' -id one -subject order/1 -meta tenant=blue`, "one\n", "", 0},
				{`echo text | platform event publish order.paid -id two -source shop -root one`, "two\n", "", 0},
				{`platform event publish user.created '' -o json`, `{"id":"…"}` + "\n", "", 0},
				{"platform event query | cut -f2-4", "one\torder.created\torder/1\ntwo\torder.paid\t\n…\tuser.created\t\n", "", 0},
				{"platform event query 'order.*' -o json", `{…"id":"one"…"tenant":"blue"…}` + "\n" + `{…"id":"two"…}` + "\n", "", 0},
				{"platform event groups", "", "", 0},
				{"platform event forget nobody", "", "platform: event/…not found\n", 1},
				{"platform event dead list", "", "", 0},
				{"platform event dead publish nothing", "", "platform: no record with the id \"nothing\"\n", 1},
				{"platform event dead publish one", "", "platform: record one is no dead letter\n", 2},
				{"platform event tail -from beginning -limit 2 | cut -f2", "one\ntwo\n", "waiting for records\n", 0},
			})
			if name == "redis" { // what is the same on all
				s.steps([]step{
					{"platform event publish ''", "", "platform: …empty type…\n", 2},
					{"platform event query -id two", "…\ttwo\torder.paid\t\t\"text\\n\"\n", "", 0},
					{"platform event query -subject order/1 | cut -f2", "one\n", "", 0},
					{"platform event query -root one | cut -f2", "one\ntwo\n", "", 0},
					{"platform event query -source shop | cut -f2", "two\n", "", 0},
					{"platform event query -limit 1 | cut -f3", "user.created\n", "… more than 1; -limit 0 lists all\n", 0},
					{"platform event query -limit 3 | cut -f3", "order.created\norder.paid\nuser.created\n", "", 0},
					{"platform event query -limit 0 | cut -f3", "order.created\norder.paid\nuser.created\n", "", 0},
					{"platform event query -since 1h order.created | cut -f2", "one\n", "", 0},
					{"platform event query -until 1h", "", "", 0},
					{"platform event query 'or*'", "", "platform: …\n", 2},
					{"platform event dead publish -all", "", "platform: no dead letters\n", 1},
					{"platform event dead publish", "", "platform: give ids of dead letters, or -all\n", 2},
				})
			}
			f := s.follow("platform event tail 'order.*' -o json")
			f.awaitErr("waiting for records\n")
			s.steps([]step{{"platform event publish user.gone x && platform event publish order.gone '{}' -id three", "…", "", 0}})
			f.await(`{…"id":"three"…"type":"order.gone"…}` + "\n")
			f.interrupt()
		})
	}
}

func TestDeadLetters(t *testing.T) {
	all := engines(t)
	for _, name := range []string{"redis", "postgres", "sqlite"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testDeadLetters(t, all[name])
		})
	}
}

func testDeadLetters(t *testing.T, url string) {
	ns := servertest.Namespace(t)
	s := newShell(t, "PLATFORM_EVENT="+url, "PLATFORM_EVENT_NAMESPACE="+ns)
	fails(t, url, ns, 2, func() {
		s.steps([]step{{"platform event publish order.created a -id one && platform event publish order.paid b -id two", "one\ntwo\n", "", 0}})
	})
	s.steps([]step{
		{"platform event groups", "mailer\t0\t…\t\t\n", "", 0},
		{"platform event groups -o json", `{"group":"mailer","pending":0,"behind":…}` + "\n", "", 0},
		{"platform event dead list | cut -f3-", "mailer\torder.created\t1\t…no such mailbox…\nmailer\torder.paid\t1\t…no such mailbox…\n", "", 0},
		{"platform event dead list -limit 1 -o json", `{"id":"…","time":"…Z","group":"mailer","record":"two","type":"order.paid","attempts":1,"error":"…"}` + "\n", "… more than 1; -limit 0 lists all\n", 0},
		{"platform event dead list -group other", "", "", 0},
		{"platform event dead list -until 1h", "", "platform: unknown flag -until; …\n", 2},
		{"platform event dead publish $(platform event dead list | head -1 | cut -f2)", "published order.created one\n", "", 0},
		{"platform event dead publish -all -group mailer", "published order.created one\npublished order.paid two\n", "", 0},
		{"platform event dead publish -all -group other", "", "platform: no dead letters\n", 1},
		{"platform event query | cut -f2,3,5", "one\torder.created\ta\ntwo\torder.paid\tb\none\torder.created\ta\none\torder.created\ta\ntwo\torder.paid\tb\n", "", 0},
		{"platform event groups", "mailer\t0\t…\t\t\n", "", 0},
		{"platform event forget mailer && platform event groups", "forgot mailer\n", "", 0},
	})
}

// A group that goes on failing makes letters of what is published again. "-all" is
// over with those of its beginning all the same.
func TestAllDeadLettersAreThoseOfNow(t *testing.T) {
	all := engines(t)
	for _, name := range []string{"redis", "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := servertest.Namespace(t)
			s := newShell(t, "PLATFORM_EVENT="+all[name], "PLATFORM_EVENT_NAMESPACE="+ns)
			fails(t, all[name], ns, 6, func() {
				s.steps([]step{{"for i in 1 2 3; do platform event publish order.created $i -id $i; done", "1\n2\n3\n", "", 0}})
				for deadline := time.Now().Add(30 * time.Second); s.run("platform event dead list | wc -l").out != "3\n"; {
					if time.Now().After(deadline) {
						t.Fatal("no dead letters")
					}
				}
				s.steps([]step{{"platform event dead publish -all", "published order.created 1\npublished order.created 2\npublished order.created 3\n", "", 0}})
			})
			s.steps([]step{{"platform event dead list | wc -l", "6\n", "", 0}})
		})
	}
}

// Letters of several partitions, whose times are those of clocks that differ, do not come
// in the order in which they go back.
func TestAllDeadLettersOfManyPartitions(t *testing.T) {
	t.Parallel()
	addr, ns := servertest.SharedKafka(t).Addr(), servertest.Namespace(t)
	stream, err := event.New(eventkafka.Backend(addr), event.WithNamespace(ns+"1"), event.WithTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close(context.Background())
	sub, err := stream.Subscribe(t.Context(), func(context.Context, *event.Record) error { return event.Terminate(errors.New("no")) }, event.Group("mailer"))
	if err != nil {
		t.Fatal(err)
	}
	const n = 6
	for range n {
		if err := stream.Publish(t.Context(), &event.Record{Type: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); sub.Stats().Dead < n; <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v, want %d dead letters", sub.Stats(), n)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("events-"+ns+"1"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topic := "events-" + ns + "2"
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 2, 1, map[string]*string{"message.timestamp.type": new("CreateTime")}, topic); err != nil {
		t.Fatal(err)
	}
	for i, begin := 0, time.Now().Add(-time.Hour); i < n; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, m := range fetches.Records() {
			if !slices.ContainsFunc(m.Headers, func(h kgo.RecordHeader) bool {
				return h.Key == "ce_type" && strings.HasPrefix(string(h.Value), "dead.")
			}) {
				continue
			}
			back := 3 // between the first and the last of the other partition
			if i%2 == 0 {
				back = i
			}
			letter := &kgo.Record{Topic: topic, Partition: int32(i % 2), Timestamp: begin.Add(-time.Duration(back) * time.Minute), Key: m.Key, Value: m.Value, Headers: m.Headers}
			if err := client.ProduceSync(t.Context(), letter).FirstErr(); err != nil {
				t.Fatal(err)
			}
			i++
		}
	}
	newShell(t, "PLATFORM_EVENT=kafka://"+addr, "PLATFORM_EVENT_NAMESPACE="+ns+"2").steps([]step{
		{"platform event dead publish -all | cut -d' ' -f1,2", strings.Repeat("published t\n", n), "", 0},
	})
}

func TestSchedule(t *testing.T) {
	all := engines(t)
	for _, name := range []string{"redis", "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShell(t, "PLATFORM_EVENT="+all[name], "PLATFORM_EVENT_NAMESPACE="+servertest.Namespace(t))
			s.steps([]step{
				{"platform event schedule list", "", "", 0},
				{"platform event publish order.late '{}' -id late -at 1h -subject order/1", "late\n", "", 0},
				{"platform event publish order.day '{}' -id day -at 2099-01-31", "day\n", "", 0},
				{"platform event publish order.day '{}' -at noon", "", "platform: -at \"noon\": want how long from now …\n", 2},
				{"platform event schedule set hourly order.check '{}' -every 30m", "scheduled hourly\n", "", 0},
				{"platform event schedule set nightly order.night '{}' -cron '30 2 * * *' -zone Europe/Berlin -o json", `{"id":"nightly","due":"…Z","recurrence":"…30 2 * * *…","type":"order.night"}` + "\n", "", 0},
				{"platform event schedule set x order.x '{}'", "", "platform: give -every or -cron\n", 2},
				{"platform event schedule set x order.x '{}' -every 1h -cron '* * * * *'", "", "platform: give -every or -cron\n", 2},
				{"platform event schedule set x order.x '{}' -cron '61 * * * *'", "", "platform: event/…invalid…\n", 2},
				{"platform event schedule set x order.x '{}' -cron '* * * * *' -zone Nowhere", "", "platform: -zone \"Nowhere\": …\n", 2},
				{"platform event query", "", "", 0}, // nothing is due
				{"platform event schedule list | cut -f2,4- | sort", "day\torder.day\t\nhourly\torder.check\t\nlate\torder.late\torder/1\nnightly\torder.night\t\n", "", 0},
				{"platform event schedule list -limit 1 -o json", `{"id":"…","due":"…Z",…}` + "\n", "… more than 1; -limit 0 lists all\n", 0},
				{"platform event schedule cancel late", "cancelled late\n", "", 0},
				{"platform event schedule cancel late", "", "platform: nothing is scheduled as \"late\"; it may have been published\n", 1},
				{"platform event schedule cancel nightly && platform event schedule list | cut -f2", "cancelled nightly\nhourly\nday\n", "", 0},
				{"platform event publish order.soon '{}' -id soon -at 300ms", "soon\n", "", 0},
				{"platform event tail order.soon -from beginning -limit 1 | cut -f2", "soon\n", "waiting for records\n", 0},
			})
		})
	}
	t.Run("unsupported", func(t *testing.T) {
		t.Parallel()
		newShell(t, "PLATFORM_EVENT=kafka://"+servertest.SharedKafka(t).Addr(), "PLATFORM_EVENT_NAMESPACE="+servertest.Namespace(t)).steps([]step{
			{"platform event schedule list", "", "platform: event/kafka: …not supported by this backend…\n", 2},
			{"platform event publish a b -at 1h", "", "platform: event/kafka: …not supported by this backend…\n", 2},
		})
	})
}
