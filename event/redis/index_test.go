package redis_test

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	goredis "github.com/redis/go-redis/v9"
)

// found returns the subjects of a query's records.
func found(t *testing.T, s event.Stream, opts ...event.QueryOption) []string {
	t.Helper()
	list := []string{}
	for r, err := range s.Query(t.Context(), opts...) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r.Subject)
	}
	return list
}

// numbered publishes records from one number up to another, excluded, whose roots
// are the numbers modulo 100.
func numbered(t *testing.T, s event.Stream, from, to int) {
	t.Helper()
	var rs []*event.Record
	for i := from; i < to; i++ {
		rs = append(rs, &event.Record{ID: fmt.Sprint("id", i), RootID: fmt.Sprint("root", i%100), Type: "t", Subject: fmt.Sprint(i), Data: make([]byte, 100)})
	}
	for part := range slices.Chunk(rs, 1000) {
		if err := s.Publish(t.Context(), part...); err != nil {
			t.Fatal(err)
		}
	}
}

// sent is how many bytes the server has sent.
func sent(t *testing.T, c *goredis.Client) int {
	t.Helper()
	info, err := c.Info(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "total_net_output_bytes:"); ok {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	t.Fatal("no total_net_output_bytes")
	return 0
}

// A look-up used to read the whole stream.
func TestLookUpsReadOnlyWhatTheyFind(t *testing.T) {
	leak.Check(t)
	server := servertest.Redis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	s, err := event.New(patient(redis.Backend(server.Addr()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	const n = 5000
	numbered(t, s, 0, n)
	for _, one := range []struct {
		name string
		want []string
		opts []event.QueryOption
	}{
		{"id, the first look-up", []string{"4321"}, []event.QueryOption{event.ID("id4321")}},
		{"id", []string{"7"}, []event.QueryOption{event.ID("id7")}},
		{"no such id", []string{}, []event.QueryOption{event.ID("id5000")}},
		{"id, backward", []string{"7"}, []event.QueryOption{event.ID("id7"), event.Reverse()}},
		{"root, the newest two", []string{"4942", "4842"}, []event.QueryOption{event.Root("root42"), event.Reverse(), event.Limit(2)}},
		{"after an id", []string{"4999"}, []event.QueryOption{event.From(event.AfterID("id4998"))}},
	} {
		before := sent(t, admin)
		if got := found(t, s, one.opts...); !slices.Equal(got, one.want) {
			t.Errorf("%s: found %v, want %v", one.name, got, one.want)
		}
		if bytes := sent(t, admin) - before; bytes > 20_000 { // the stream has a million
			t.Errorf("%s: the server sent %d bytes", one.name, bytes)
		}
	}
}

// Others write to the stream, trim it, replace it, and remove the index; some may
// not run scripts.
func TestLookUpsBesideOthers(t *testing.T) {
	leak.Check(t)
	server := servertest.Redis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	s, err := event.New(patient(redis.Backend(server.Addr()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	const stream, index = "{event:}", "{event:}:index"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, opts event.QueryOption, want ...string) {
		t.Helper()
		if got := found(t, s, opts); !slices.Equal(got, want) {
			t.Fatalf("%s: found %v, want %v", when, got, want)
		}
	}
	add := func(at string, r *event.Record) {
		t.Helper()
		r.Type = "t"
		must(admin.XAdd(t.Context(), &goredis.XAddArgs{Stream: stream, ID: at, Values: []any{"type", "t", "record", eventdriver.AppendRecord(nil, r)}}).Err())
	}
	size := func() int64 {
		t.Helper()
		n, err := admin.ZCard(t.Context(), index).Result()
		must(err)
		return n
	}

	numbered(t, s, 0, 300)
	want("at first", event.ID("id299"), "299")
	if n := size(); n != 601 {
		t.Errorf("the index has %d members for 300 records, want 601", n)
	}
	must(admin.XAdd(t.Context(), &goredis.XAddArgs{Stream: stream, Values: []any{"x", "y"}}).Err())
	must(admin.XAdd(t.Context(), &goredis.XAddArgs{Stream: stream, Values: []any{"record", "\x01\xff\xff"}}).Err())
	add("*", &event.Record{ID: "theirs", RootID: "root1", Subject: "theirs"})
	want("what others wrote", event.ID("theirs"), "theirs")
	want("with ours", event.Root("root1"), "1", "101", "201", "theirs")

	must(admin.XTrimMaxLen(t.Context(), stream, 100).Err())
	want("trimmed", event.Root("root1"), "theirs")
	want("trimmed", event.ID("id5"))
	want("kept", event.ID("id299"), "299")
	must(admin.Del(t.Context(), index).Err())
	want("without the index", event.Root("root99"), "299")
	if n := size(); n < 190 || n > 210 {
		t.Errorf("the index has %d members for 100 records", n)
	}
	if left, err := admin.TTL(t.Context(), index).Result(); err != nil || left <= 0 {
		t.Errorf("the index has the time to live %v, %v", left, err)
	}

	// Trimmed by others for long: what is stale does not stay.
	for i := 1000; i < 11_000; i += 1000 {
		numbered(t, s, i, i+1000)
		must(admin.XTrimMaxLen(t.Context(), stream, 100).Err())
		want("published and trimmed", event.ID(fmt.Sprint("id", i+999)), fmt.Sprint(i+999))
	}
	if n := size(); n > 7000 {
		t.Errorf("the index has %d members for 100 records", n)
	}

	// Streams in place of this one, with lower ids.
	must(admin.Del(t.Context(), stream).Err())
	add("6-1", &event.Record{ID: "new", RootID: "root", Subject: "six"})
	want("replaced", event.ID("id10999"))
	want("replaced", event.Root("root"), "six")
	must(admin.Del(t.Context(), stream).Err())
	want("no stream", event.ID("new"))
	add("5-1", &event.Record{ID: "new", RootID: "root", Subject: "new"})
	add("5-18446744073709551614", &event.Record{ID: "newer", RootID: "root", Subject: "newer"})
	add("123456789012345678-7", &event.Record{ID: "newest", RootID: "root", Subject: "newest"})
	want("replaced again", event.Root("root"), "new", "newer", "newest")
	if got := found(t, s, event.Root("root"), event.From(event.After("5-1")), event.Limit(1)); !slices.Equal(got, []string{"newer"}) {
		t.Errorf("after 5-1: found %v", got)
	}
	if got := found(t, s, event.Root("root"), event.From(event.After("05-018446744073709551614")), event.Reverse()); !slices.Equal(got, []string{"new"}) {
		t.Errorf("before 5-18446744073709551614: found %v", got)
	}

	must(admin.Do(t.Context(), "acl", "setuser", "reader", "on", ">secret", "~*", "&*", "+@all", "-@scripting").Err())
	plain, err := event.New(patient(redis.Backend("redis://reader:secret@" + server.Addr()))...)
	must(err)
	defer plain.Close(context.Background())
	if got := found(t, plain, event.Root("root")); !slices.Equal(got, []string{"new", "newer", "newest"}) {
		t.Errorf("without the right to run scripts: found %v", got)
	}
}
