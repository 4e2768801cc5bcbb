package event_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

// Records of all sizes end up in segments of all sizes; every one is found,
// forwards and backwards, from every position, also after old ones are gone.
func TestEveryRecordIsFoundWhereverItIs(t *testing.T) {
	s, err := event.New(event.WithRetention(event.Retention{Count: 800}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	random := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 150, 511, 513, 5000, 300_000}
	var want []*event.Record
	for len(want) < 2000 {
		var rs []*event.Record
		for range 1 + random.IntN(5) {
			n := sizes[min(random.IntN(12), len(sizes)-1)]
			if n == 300_000 && random.IntN(20) > 0 {
				n = 10
			}
			rs = append(rs, &event.Record{
				ID: fmt.Sprint(len(want) + len(rs)), Type: []string{"a.b", "c", "dead.x"}[random.IntN(3)], Subject: string(bytes.Repeat([]byte("s"), random.IntN(200))),
				Metadata: map[string]string{"k": "v"}, Data: bytes.Repeat([]byte{byte(len(want))}, n),
			})
		}
		if err := s.Publish(t.Context(), rs...); err != nil {
			t.Fatal(err)
		}
		want = append(want, rs...)
	}
	same := func(got, want *event.Record) bool {
		return got.ID == want.ID && got.Type == want.Type && got.Subject == want.Subject && got.Metadata["k"] == "v" && bytes.Equal(got.Data, want.Data)
	}
	var first string
	for r, err := range s.Query(t.Context(), event.Types("**", "dead.**")) {
		if err != nil {
			t.Fatal(err)
		}
		first = r.ID
		break
	}
	gone := slices.IndexFunc(want, func(r *event.Record) bool { return r.ID == first })
	if left := len(want) - gone; gone < 0 || left < 800 || left > 900 {
		t.Fatalf("the oldest record is %s of %d, want one of the last 800 to 900", first, len(want))
	}
	want = want[gone:]
	for _, reverse := range []bool{false, true} {
		opts := []event.QueryOption{event.Types("**", "dead.**")}
		if reverse {
			opts = append(opts, event.Reverse())
			slices.Reverse(want)
		}
		n := 0
		for r, err := range s.Query(t.Context(), opts...) {
			if err != nil {
				t.Fatal(err)
			}
			if !same(r, want[n]) {
				t.Fatalf("reverse %v: record %d is %s of %d bytes, want %s of %d", reverse, n, r.ID, len(r.Data), want[n].ID, len(want[n].Data))
			}
			n++
		}
		if n != len(want) {
			t.Errorf("reverse %v: %d records, want %d", reverse, n, len(want))
		}
	}
}

// Decoded together, records share allocations; what a handler appends to its
// Data must not reach the next record's.
func TestAppendingToDataChangesNoOtherRecord(t *testing.T) {
	s, _ := event.New()
	defer s.Close(context.Background())
	var rs []*event.Record
	for i := range 40 {
		rs = append(rs, &event.Record{Type: "t", Data: bytes.Repeat([]byte{byte('a' + i%26)}, 100)})
	}
	if err := s.Publish(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte, len(rs))
	if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
		got <- bytes.Clone(r.Data)
		_ = append(r.Data, make([]byte, 100)...)
		return nil
	}, event.From(event.Beginning())); err != nil {
		t.Fatal(err)
	}
	for i := range rs {
		if d := <-got; !bytes.Equal(d, rs[i].Data) {
			t.Fatalf("record %d has %q, want %q", i, d, rs[i].Data)
		}
	}
}

func TestNewIDIsAUUIDOfVersion7(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	digits := map[byte]bool{}
	for range 1000 {
		before := time.Now().UnixMilli()
		id := event.NewID()
		if !form.MatchString(id) {
			t.Fatalf("%q is no UUIDv7", id)
		}
		var ms int64
		fmt.Sscanf(id[:8]+id[9:13], "%x", &ms)
		if now := time.Now().UnixMilli(); ms < before || ms > now {
			t.Fatalf("%s says %d ms, want %d to %d", id, ms, before, now)
		}
		if seen[id] {
			t.Fatalf("%s twice", id)
		}
		seen[id] = true
		for i := range 12 {
			digits[id[24+i]] = true
		}
	}
	if len(digits) != 16 {
		t.Errorf("%d different digits in 1000 ids, want 16", len(digits))
	}
}

// A record on its way into memory costs its id, and the list of arguments.
func TestPublishInMemoryAllocatesTwice(t *testing.T) {
	s, _ := event.New()
	defer s.Close(context.Background())
	r := &event.Record{Type: "order.created", Subject: "order/42", Data: make([]byte, 150)}
	if n := testing.AllocsPerRun(5000, func() { s.Publish(t.Context(), r) }); n > 2 {
		t.Errorf("%v allocations a record, want 2", n)
	}
}
