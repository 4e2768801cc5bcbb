package event_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
)

func FuzzRecordRoundTrip(f *testing.F) {
	f.Add("id", "a.b", "src", "k", "v", int64(-5), []byte("data"))
	f.Add("", "t", "", "", "\x00", int64(0), []byte(nil))
	f.Fuzz(func(t *testing.T, id, typ, source, k, v string, at int64, data []byte) {
		text := func(s string) string { return strings.ToValidUTF8(s, "") }
		typ = text(typ)
		if typ == "" {
			typ = "t"
		}
		r := &event.Record{ID: text(id), Type: typ, Source: text(source), RootID: text(v), ParentID: text(k), Subject: text(source), ContentType: text(typ),
			Time: time.Unix(0, at).UTC(), Metadata: map[string]string{text(k): text(v), "more": ""}, Data: data}
		got, err := eventdriver.ParseRecord(string(eventdriver.AppendRecord(nil, r)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Data, r.Data) {
			t.Fatalf("data %q, want %q", got.Data, r.Data)
		}
		got.Data, r.Data = nil, nil
		if !reflect.DeepEqual(got, r) {
			t.Fatalf("got %+v, want %+v", got, r)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add(string(eventdriver.AppendRecord(nil, &event.Record{ID: "1", Type: "t", Metadata: map[string]string{"a": "b"}, Data: []byte("x")})))
	f.Add("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := eventdriver.ParseRecord(s); (r == nil) == (err == nil) {
			t.Fatalf("got %v and %v", r, err)
		}
	})
}
