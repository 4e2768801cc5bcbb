package kafka_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/kafka"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A foreign consumer finds a CloudEvent in binary mode: what it reads are the
// header names and forms of the Kafka Protocol Binding 1.0.2.
func TestForeignConsumersSeeCloudEvents(t *testing.T) {
	topic := servertest.Namespace(t)
	s := open(t, kafka.WithTopic(topic))
	publish(t, s,
		&event.Record{
			ID: "1", Type: "order.created", Source: "/shop", Subject: "order/42", ParentID: "p", RootID: "r", ContentType: "application/json", Data: []byte(`{"a":1}`),
			Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Metadata: map[string]string{"traceparent": "00-ab", "Not Allowed": "v"},
		},
		&event.Record{ID: "2", Type: "bare", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
	c, err := kgo.NewClient(kgo.SeedBrokers(servertest.SharedKafka(t).Addr()), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var rs []*kgo.Record
	for len(rs) < 2 {
		rs = append(rs, c.PollFetches(t.Context()).Records()...)
	}
	for i, want := range []struct {
		key, value string
		headers    map[string]string
	}{
		{"order/42", `{"a":1}`, map[string]string{
			"ce_specversion": "1.0", "ce_id": "1", "ce_type": "order.created", "ce_source": "/shop", "ce_subject": "order/42", "ce_rootid": "r", "ce_parentid": "p",
			"ce_time": "2026-01-02T03:04:05.000006Z", "content-type": "application/json", "ce_traceparent": "00-ab", "ce_metadata": `{"Not Allowed":"v"}`,
		}},
		{"", "", map[string]string{
			"ce_specversion": "1.0", "ce_id": "2", "ce_type": "bare", "ce_source": "/", "ce_time": "2026-01-02T03:04:05Z", "go-platform-no-source": "",
		}},
	} {
		headers := map[string]string{}
		for _, h := range rs[i].Headers {
			headers[h.Key] = string(h.Value)
		}
		if string(rs[i].Key) != want.key || string(rs[i].Value) != want.value || rs[i].Value == nil || !maps.Equal(headers, want.headers) {
			t.Errorf("message %d: key %q, value %q, headers %v\nwant %q, %q, %v", i, rs[i].Key, rs[i].Value, headers, want.key, want.value, want.headers)
		}
	}
}

func message(topic, value string, headers ...string) *kgo.Record {
	m := &kgo.Record{Topic: topic, Value: []byte(value)}
	for i := 0; i < len(headers); i += 2 {
		m.Headers = append(m.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return m
}

// What foreign producers send is read in both modes; what is no event is left out
// of queries, and is a dead letter to a group.
func TestForeignProducersAreUnderstood(t *testing.T) {
	topic := servertest.Namespace(t)
	s := open(t, kafka.WithTopic(topic))
	var live, group, dead got
	subscribe(t, s, live.handle)
	subscribe(t, s, group.handle, event.Group("g"))
	subscribe(t, s, dead.handle, event.Types("dead.g"))
	c, err := kgo.NewClient(kgo.SeedBrokers(servertest.SharedKafka(t).Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	binary := []string{"ce_specversion", "1.0", "ce_type", "x", "ce_source", "/foreign"}
	for _, m := range []*kgo.Record{
		message(topic, "d", append([]string{"ce_id", "binary", "content-type", "text/plain", "ce_time", "2026-01-02T03:04:05.5+01:00", "ce_subject", "s", "ce_myext", "v", "other", "header"}, binary...)...),
		message(topic, "no event"),
		message(topic, `{"specversion":"1.0","id":"structured","type":"x","source":"/foreign","datacontenttype":"application/json","data":{"b":2},"num":7}`, "content-type", "application/cloudevents+json; charset=UTF-8"),
		message(topic, "", append([]string{"ce_id", "no data"}, binary...)...),
		message(topic, "d", "ce_id", "version", "ce_specversion", "0.3", "ce_type", "x", "ce_source", "/foreign"),
		message(topic, "d", "ce_id", "no type", "ce_specversion", "1.0", "ce_source", "/foreign"),
		message(topic, "d", append([]string{"ce_id", "no time", "ce_time", "yesterday"}, binary...)...),
		message(topic, "{", "content-type", "application/cloudevents+json"),
		message(topic, "[]", "content-type", "application/cloudevents-batch+json"),
		{Topic: topic}, // a tombstone
		message(topic, "d", append([]string{"ce_id", "last"}, binary...)...),
	} {
		if err := c.ProduceSync(t.Context(), m).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"binary", "structured", "no data", "last"}
	until(t, "all events are delivered, and all else is dead", func() bool { return live.len() == 4 && group.len() == 4 && dead.len() == 7 })
	for name, rs := range map[string][]*event.Record{"delivered": live.list(), "delivered to the group": group.list(), "queried": all(t, s)} {
		if !slices.Equal(ids(rs), want) {
			t.Errorf("%s %v, want %v", name, ids(rs), want)
			continue
		}
		b, st := rs[0], rs[1]
		if b.Source != "/foreign" || b.Subject != "s" || b.RootID != "binary" || b.ContentType != "text/plain" || string(b.Data) != "d" || !maps.Equal(b.Metadata, map[string]string{"myext": "v"}) ||
			!b.Time.Equal(time.Date(2026, 1, 2, 2, 4, 5, 5e8, time.UTC)) {
			t.Errorf("%s: binary is %+v", name, b)
		}
		if string(st.Data) != `{"b":2}` || st.ContentType != "application/json" || st.Metadata["num"] != "7" || st.Position == "" || time.Since(st.Time) > time.Minute {
			t.Errorf("%s: structured is %+v", name, st)
		}
		if rs[2].Data != nil {
			t.Errorf("%s: no data is %q", name, rs[2].Data)
		}
	}
	for _, r := range dead.list() {
		if !strings.Contains(r.Metadata[event.DeadError], "not a record") || r.Metadata[event.DeadPosition] == "" {
			t.Errorf("dead letter %+v", r)
		}
	}
}

// A record that the topic takes is stored; the next larger one is ErrTooLarge, and
// nothing of its Publish is sent.
func TestTooLargeIsFoundBeforeSending(t *testing.T) {
	a := admin(t)
	topic := servertest.Namespace(t)
	limit := "20000"
	if _, err := a.CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, topic); err != nil {
		t.Fatal(err)
	}
	s := open(t, kafka.WithTopic(topic))
	largest := 0
	for n := 20000; n > 19000; n-- { // headers take a part
		err := s.Publish(t.Context(), &event.Record{ID: "i", Type: "t", Data: make([]byte, n)})
		if err == nil {
			largest = n
			break
		}
		if !errors.Is(err, event.ErrTooLarge) || errors.Is(err, event.ErrUnknownOutcome) {
			t.Fatalf("%d bytes: %v, want ErrTooLarge", n, err)
		}
	}
	if largest < 19000 {
		t.Fatalf("not even %d bytes are taken of 20000", 19000)
	}
	err := s.Publish(t.Context(), &event.Record{ID: "small", Type: "t"}, &event.Record{ID: "i", Type: "t", Data: make([]byte, largest+64)}) // times of a record have texts of different lengths
	if !errors.Is(err, event.ErrTooLarge) {
		t.Errorf("one of two too large: %v, want ErrTooLarge", err)
	}
	rs := all(t, s)
	if len(rs) != 1 || len(rs[0].Data) != largest {
		t.Errorf("%d records stored, want the largest that is allowed alone", len(rs))
	}
	many := make([]*event.Record, 30) // together more than one batch holds
	for i := range many {
		many[i] = &event.Record{Type: "t", Data: make([]byte, 15000)}
	}
	publish(t, s, many...)
	if n := len(all(t, s)); n != 31 {
		t.Errorf("%d records stored, want 31", n)
	}
	big := open(t) // a topic of the backend's own takes what event allows by default
	publish(t, big, &event.Record{Type: "t", Subject: strings.Repeat("s", 60_000), Data: make([]byte, 1<<20)})
}
