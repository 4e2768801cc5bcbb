package rabbitmq

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/cloudevents"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

var published = time.Date(2026, 11, 30, 12, 0, 0, 123456789, time.UTC)

func writer(t *testing.T, most int) *driver {
	t.Helper()
	conn, err := rabbitmq.Open(rabbitmq.Config{Address: "h", MaxMessage: most})
	if err != nil {
		t.Fatal(err)
	}
	return &driver{conn: conn}
}

// delivered is a message as the stream gives it back.
func delivered(m amqp.Publishing) *amqp.Delivery {
	headers := amqp.Table{offset: int64(7)}
	for k, v := range m.Headers {
		headers[k] = v
	}
	return &amqp.Delivery{Headers: headers, ContentType: m.ContentType, MessageId: m.MessageId, Type: m.Type, Timestamp: m.Timestamp.Truncate(time.Second), Body: m.Body}
}

func TestRecordsComeBackFromMessages(t *testing.T) {
	d := writer(t, 1<<20)
	long := strings.Repeat("l", maxShort+1)
	for name, c := range map[string]struct {
		r      event.Record
		packed bool
	}{
		"little":                   {event.Record{ID: "1", Type: "t", RootID: "1", Time: published}, false},
		"all":                      {event.Record{ID: "1", Type: "t", Source: "s", Subject: "u", RootID: "r", ParentID: "p", Time: published, ContentType: "text/plain", Data: []byte("d"), Metadata: map[string]string{"k": "v", "Odd-Key": "w", "metadata": "m", "recordedtime": "mine"}}, false},
		"a source of /":            {event.Record{ID: "1", Type: "t", Source: "/", RootID: "1", Time: published}, false},
		"a content type of 255":    {event.Record{ID: "1", Type: "t", Source: "s", RootID: "1", Time: published, ContentType: long[:maxShort]}, false},
		"a content type of 256":    {event.Record{ID: "1", Type: "t", Source: "s", RootID: "1", Time: published, ContentType: long}, false},
		"a name that fits":         {event.Record{ID: "1", Type: "t", Source: "s", RootID: "1", Time: published, Metadata: map[string]string{long[:maxShort-len(prefix)]: "v"}}, false},
		"a name that doesn't":      {event.Record{ID: "1", Type: "t", Source: "s", RootID: "1", Time: published, Metadata: map[string]string{long[:maxShort-len(prefix)+1]: "v"}}, true},
		"large attributes":         {event.Record{ID: "1", Type: "t", Source: "s", RootID: "1", Time: published, Subject: strings.Repeat("s", 5000)}, true},
		"an event within an event": {event.Record{ID: "1", Type: "t", Source: "s", RootID: "1", Time: published, ContentType: cloudevents.TypeJSON, Data: []byte("{}")}, true},
		"its own content type":     {event.Record{ID: "1", Type: "t", Source: "s", RootID: "1", Time: published, ContentType: packed + "; x=y", Data: []byte("d")}, true},
	} {
		for _, later := range []time.Duration{0, 5 * time.Millisecond, 5*time.Millisecond + 1, -1, time.Hour} {
			now := published.Add(later)
			m, err := d.message(&c.r, now, 4096)
			if err != nil {
				t.Fatal(err)
			}
			got, err := record(delivered(m))
			want := c.r
			want.Position = "7"
			if err != nil || !reflect.DeepEqual(got, &want) {
				t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, &want)
			}
			if !c.packed && m.ContentType != c.r.ContentType && len(c.r.ContentType) <= maxShort {
				t.Errorf("%s: the content type of the message is %q", name, m.ContentType)
			}
			if (m.ContentType == packed) != c.packed {
				t.Errorf("%s: the content type is %q, want it packed: %v", name, m.ContentType, c.packed)
			}
			if typ := typeOf(delivered(m)); typ != "t" {
				t.Errorf("%s: the type is %q", name, typ)
			}
			at := now
			if !c.packed && later >= 0 && later <= 5*time.Millisecond { // it is not said
				at = published
			}
			if got := publishedAt(delivered(m)); !got.Equal(at) {
				t.Errorf("%s: published %v later at %v, want %v", name, later, got, at)
			}
		}
	}
	r := &event.Record{ID: "1", Type: "t", Time: published, Subject: strings.Repeat("s", 5000)}
	if m, err := d.message(r, published, 0); err != nil || m.ContentType == packed {
		t.Errorf("without a limit of frames: %v, %q", err, m.ContentType)
	}
	for most, large := range map[int]bool{99: true, 100: false, 101: false} {
		_, err := writer(t, most).message(&event.Record{ID: "1", Type: "t", Data: make([]byte, 100)}, published, 0)
		if errors.Is(err, fault.TooLarge) != large || !large && err != nil {
			t.Errorf("a limit of %d: %v, too large: %v", most, err, large)
		}
	}
}

// Messages of others: each differs in one thing from one that is an event.
func TestMessagesOfOthers(t *testing.T) {
	one := event.Record{ID: "1", Type: "t", Source: "s", RootID: "1", Time: published, Position: "7"}
	but := func(change func(r *event.Record)) *event.Record { r := one; change(&r); return &r }
	binary := func(change func(h amqp.Table)) amqp.Delivery {
		h := amqp.Table{offset: int64(7), prefix + "specversion": "1.0", prefix + "id": "1", prefix + "type": "t", prefix + "source": "s"}
		change(h)
		return amqp.Delivery{Headers: h, Timestamp: published}
	}
	nothing := func(amqp.Table) {}
	plain := amqp.Delivery{Headers: amqp.Table{offset: int64(7)}, MessageId: "1", Type: "t", AppId: "s", Timestamp: published}
	and := func(d amqp.Delivery, change func(d *amqp.Delivery)) amqp.Delivery { change(&d); return d }
	for _, c := range []struct {
		name string
		d    amqp.Delivery
		want *event.Record
		why  string
	}{
		{"an event", binary(nothing), &one, ""},
		{"the other form of names", amqp.Delivery{Headers: amqp.Table{offset: int64(7), "cloudEvents:specversion": "1.0", "cloudEvents:id": "1", "cloudEvents:type": "t", "cloudEvents:source": "s"}, Timestamp: published}, &one, ""},
		{"bytes", binary(func(h amqp.Table) { h[prefix+"id"] = []byte("1") }), &one, ""},
		{"a time", binary(func(h amqp.Table) { h[prefix+"time"] = published.Add(time.Hour) }), but(func(r *event.Record) { r.Time = published.Add(time.Hour) }), ""},
		{"a number", binary(func(h amqp.Table) { h[prefix+"x"] = int32(5) }), but(func(r *event.Record) { r.Metadata = map[string]string{"x": "5"} }), ""},
		{"no time", binary(func(h amqp.Table) { h[prefix+"time"] = "yesterday" }), nil, "yesterday"},
		{"a header", binary(func(h amqp.Table) { h["x"] = "y" }), &one, ""},
		{"a root", binary(func(h amqp.Table) { h[prefix+"rootid"] = "r" }), but(func(r *event.Record) { r.RootID = "r" }), ""},
		{"a content type", and(binary(nothing), func(d *amqp.Delivery) { d.ContentType = "text/plain" }), but(func(r *event.Record) { r.ContentType = "text/plain" }), ""},
		{"no source", binary(func(h amqp.Table) { h[prefix+"source"], h[noSource] = "/", true }), but(func(r *event.Record) { r.Source = "" }), ""},
		{"a source of /", binary(func(h amqp.Table) { h[prefix+"source"], h[noSource] = "/", false }), but(func(r *event.Record) { r.Source = "/" }), ""},
		{"a source with that header", binary(func(h amqp.Table) { h[noSource] = true }), &one, ""},
		{"another version", binary(func(h amqp.Table) { h[prefix+"specversion"] = "0.3" }), nil, "another specversion"},
		{"no id", binary(func(h amqp.Table) { delete(h, prefix+"id") }), nil, "it lacks"},
		{"structured", and(plain, func(d *amqp.Delivery) {
			d.ContentType, d.Body = cloudevents.TypeJSON, []byte(`{"specversion":"1.0","id":"1","type":"t","source":"s"}`)
		}), &one, ""},
		{"structured, and no event", and(plain, func(d *amqp.Delivery) { d.ContentType = cloudevents.TypeJSON }), nil, ""},
		{"packed, and no record", and(plain, func(d *amqp.Delivery) { d.ContentType = packed }), nil, "not an encoded record"},
		{"without attributes", plain, &one, ""},
		{"with a body", and(plain, func(d *amqp.Delivery) { d.Body = []byte("d") }), but(func(r *event.Record) { r.Data = []byte("d") }), ""},
		{"without an id", and(plain, func(d *amqp.Delivery) { d.MessageId = "" }), but(func(r *event.Record) { r.ID, r.RootID = "message-7", "message-7" }), ""},
		{"a routing key", and(plain, func(d *amqp.Delivery) { d.Type, d.RoutingKey = "", "t" }), &one, ""},
		{"a type and a routing key", and(plain, func(d *amqp.Delivery) { d.RoutingKey = "other" }), &one, ""},
		{"no type", and(plain, func(d *amqp.Delivery) { d.Type = "" }), nil, "no routing key"},
		{"no UTF-8", and(plain, func(d *amqp.Delivery) { d.AppId = "\xff" }), nil, "not UTF-8"},
		{"headers", and(plain, func(d *amqp.Delivery) {
			d.Headers = amqp.Table{offset: int64(7), "k": "v", "x-k": "v", "n": int32(1), "bad": "\xff"}
		}), but(func(r *event.Record) { r.Metadata = map[string]string{"k": "v"} }), ""},
		{"no position", and(plain, func(d *amqp.Delivery) { d.Headers = nil }), but(func(r *event.Record) { r.Position = "" }), ""},
	} {
		got, err := record(&c.d)
		if c.want != nil {
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %v\n got %+v\nwant %+v", c.name, err, got, c.want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.why) || got.Position != "7" || got.ID != "" {
			t.Errorf("%s: %v, %+v, want its bytes and %q", c.name, err, got, c.why)
		}
	}
}

func TestPositions(t *testing.T) {
	for position, want := range map[string]int64{"": -1, "0": 0, "7": 7, "-1": -2, "x": -2, "9223372036854775808": -2} {
		n, err := parse(position)
		if want >= -1 && (n != want || err != nil) || want == -2 && !errors.Is(err, fault.Invalid) {
			t.Errorf("%q is %d, %v, want %d", position, n, err, want)
		}
		if want >= -1 && format(n) != position {
			t.Errorf("%d is %q, want %q", n, format(n), position)
		}
	}
	for s, want := range map[string]string{"": "", "abc": "abc", "abcd": "abcd", "abcde": "abcd", "abcü": "abc", "abü": "abü", "üü": "üü", "üüü": "üü", "aüü": "aü"} {
		if got := cut(s, 4); got != want {
			t.Errorf("%q is cut to %q, want %q", s, got, want)
		}
	}
}
