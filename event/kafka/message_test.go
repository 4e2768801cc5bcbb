package kafka

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/cloudevents"
	"github.com/twmb/franz-go/pkg/kgo"
)

var published = time.Date(2026, 11, 30, 12, 0, 0, 123456789, time.UTC)

func TestRecordsComeBackFromMessages(t *testing.T) {
	for name, r := range map[string]event.Record{
		"little":           {ID: "1", Type: "t", RootID: "1", Time: published},
		"all":              {ID: "1", Type: "t", Source: "s", Subject: "u", RootID: "r", ParentID: "p", Time: published, ContentType: "text/plain", Data: []byte("d"), Metadata: map[string]string{"k": "v", "Odd-Key": "w", "metadata": "m"}},
		"a source of /":    {ID: "1", Type: "t", Source: "/", RootID: "1", Time: published},
		"empty data":       {ID: "1", Type: "t", Source: "s", RootID: "1", Time: published, ContentType: "text/plain"},
		"structured names": {ID: "1", Type: "t", Source: "s", RootID: "1", Time: published, ContentType: cloudevents.TypeJSON, Data: []byte("{}")},
	} {
		m := message(&r, "key")
		got, err := record(m, "7")
		want := r
		want.Position = "7"
		if err != nil || !reflect.DeepEqual(got, &want) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, &want)
		}
		if string(m.Key) != "key" || m.Value == nil {
			t.Errorf("%s: the key is %q, the value %v", name, m.Key, m.Value)
		}
		names := map[string]string{}
		for _, h := range m.Headers {
			names[h.Key] = string(h.Value)
		}
		_, root := names["ce_rootid"]
		_, subject := names["ce_subject"]
		_, parent := names["ce_parentid"]
		_, media := names["content-type"]
		_, none := names[noSource]
		if names["ce_specversion"] != "1.0" || names["ce_source"] == "" || root != (r.RootID != r.ID) || subject != (r.Subject != "") || parent != (r.ParentID != "") || media != (r.ContentType != "") || none != (r.Source == "") {
			t.Errorf("%s: headers %v", name, names)
		}
		n := len(m.Key) + len(m.Value)
		for _, h := range m.Headers {
			n += len(h.Key) + len(h.Value)
		}
		if size(m) < n+128 {
			t.Errorf("%s: %d bytes for %d", name, size(m), n)
		}
	}
}

// Messages of others: each differs in one thing from one that is an event.
func TestMessagesOfOthers(t *testing.T) {
	headers := func(pairs ...string) (list []kgo.RecordHeader) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, kgo.RecordHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
		}
		return list
	}
	whole := []string{"ce_specversion", "1.0", "ce_id", "1", "ce_type", "t", "ce_source", "s"}
	with := func(pairs ...string) []kgo.RecordHeader {
		return headers(append(append([]string{}, whole...), pairs...)...)
	}
	one := event.Record{ID: "1", Type: "t", Source: "s", RootID: "1", Time: published, Position: "7"}
	but := func(change func(r *event.Record)) *event.Record { r := one; change(&r); return &r }
	for _, c := range []struct {
		name    string
		headers []kgo.RecordHeader
		value   string
		want    *event.Record
		why     string
	}{
		{"an event", with(), "", &one, ""},
		{"data", with(), "d", but(func(r *event.Record) { r.Data = []byte("d") }), ""},
		{"a content type", with("Content-Type", "text/plain"), "", but(func(r *event.Record) { r.ContentType = "text/plain" }), ""},
		{"a root", with("ce_rootid", "r"), "", but(func(r *event.Record) { r.RootID = "r" }), ""},
		{"a time", with("ce_time", "2018-04-05T17:31:00Z"), "", but(func(r *event.Record) { r.Time = time.Date(2018, 4, 5, 17, 31, 0, 0, time.UTC) }), ""},
		{"no time", with("ce_time", "yesterday"), "", nil, "yesterday"},
		{"an extension", with("ce_x", "y"), "", but(func(r *event.Record) { r.Metadata = map[string]string{"x": "y"} }), ""},
		{"a header", with("x", "y"), "", &one, ""},
		{"an event of the root", headers("ce_specversion", "1.0", "ce_id", "1", "ce_type", "t", "ce_source", "/"), "", but(func(r *event.Record) { r.Source = "/" }), ""},
		{"no source", headers("ce_specversion", "1.0", "ce_id", "1", "ce_type", "t", "ce_source", "/", noSource, ""), "", but(func(r *event.Record) { r.Source = "" }), ""},
		{"a source with that header", with(noSource, ""), "", &one, ""},
		{"another version", headers("ce_specversion", "0.3", "ce_id", "1", "ce_type", "t", "ce_source", "s"), "", nil, "another ce_specversion"},
		{"no id", headers("ce_specversion", "1.0", "ce_type", "t", "ce_source", "s"), "", nil, "it lacks"},
		{"no type", headers("ce_specversion", "1.0", "ce_id", "1", "ce_source", "s"), "", nil, "it lacks"},
		{"no source at all", headers("ce_specversion", "1.0", "ce_id", "1", "ce_type", "t"), "", nil, "it lacks"},
		{"no version", headers("ce_id", "1", "ce_type", "t", "ce_source", "s"), "d", nil, "no header ce_specversion"},
		{"structured", headers("content-type", cloudevents.TypeJSON+"; charset=utf-8"), `{"specversion":"1.0","id":"1","type":"t","source":"s"}`, &one, ""},
		{"structured, and no event", headers("content-type", cloudevents.TypeJSON), `{}`, nil, "specversion"},
		{"another content type", headers("content-type", "application/json"), `{"specversion":"1.0","id":"1","type":"t","source":"s"}`, nil, "no header ce_specversion"},
	} {
		got, err := record(&kgo.Record{Headers: c.headers, Value: []byte(c.value), Timestamp: published}, "7")
		if c.want != nil {
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %v\n got %+v\nwant %+v", c.name, err, got, c.want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.why) || got.Position != "7" || string(got.Data) != c.value || got.ID != "" {
			t.Errorf("%s: %v, %+v, want its bytes and %q", c.name, err, got, c.why)
		}
	}
}
