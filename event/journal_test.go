package event_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/eventtest"
)

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	eventtest.Run(t, eventtest.Harness{Open: func(t testing.TB, opts ...event.Option) event.Stream {
		t.Helper()
		s, err := event.New(append(opts, event.Journal(dir))...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}})
}

func openJournal(t *testing.T, dir string) event.Stream {
	t.Helper()
	s, err := event.New(event.SyncedJournal(dir))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func count(t *testing.T, s event.Stream) (n int) {
	t.Helper()
	for _, err := range s.Query(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestJournalIsForOneProcess(t *testing.T) {
	dir := t.TempDir()
	s := openJournal(t, dir)
	if _, err := event.New(event.Journal(dir)); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("opened twice: %v, want ErrUnavailable", err)
	}
	s.Close(context.Background())
	openJournal(t, dir).Close(context.Background())
}

// A crash in the middle of a write leaves any part of the last record.
func TestTornRecordIsCutOffAndTheRestKept(t *testing.T) {
	dir := t.TempDir()
	s := openJournal(t, dir)
	for i := range 5 {
		if err := s.Publish(t.Context(), &event.Record{Type: "t", Subject: fmt.Sprint(i), Data: []byte("some data")}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close(context.Background())
	file := filepath.Join(dir, "events", fmt.Sprintf("%020d.log", 1))
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	record := len(whole) / 5
	for cut := 1; cut < record; cut += 7 {
		if err := os.WriteFile(file, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := openJournal(t, dir)
		if n := count(t, s); n != 4 {
			t.Fatalf("%d bytes cut off: %d records, want 4", cut, n)
		}
		if err := s.Publish(t.Context(), &event.Record{Type: "t"}); err != nil {
			t.Fatal(err)
		}
		s.Close(context.Background())
		s = openJournal(t, dir)
		if n := count(t, s); n != 5 {
			t.Errorf("after another Publish: %d records, want 5", n)
		}
		s.Close(context.Background())
	}
	flipped := append([]byte(nil), whole...)
	flipped[len(whole)-3] ^= 1
	os.WriteFile(file, flipped, 0o600)
	s = openJournal(t, dir)
	if n := count(t, s); n != 4 {
		t.Errorf("a changed byte in the last record: %d records, want 4", n)
	}
	s.Close(context.Background())
}

func TestSegmentsGoWithRetentionAndDamageIsTold(t *testing.T) {
	dir := t.TempDir()
	s, err := event.New(event.Journal(dir), event.WithRetention(event.Retention{Count: 30}))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := s.Publish(t.Context(), &event.Record{Type: "t", Data: make([]byte, 1<<20)}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close(context.Background())
	files, _ := filepath.Glob(filepath.Join(dir, "events", "*.log"))
	if len(files) < 4 || len(files) > 7 {
		t.Errorf("%d segments for some 30 MB, want the old ones gone", len(files))
	}
	s = openJournal(t, dir)
	if n := count(t, s); n < 30 || n > 60 {
		t.Errorf("%d records after opening, want the newest 30 at least", n)
	}
	s.Close(context.Background())
	f, _ := os.OpenFile(files[1], os.O_RDWR, 0)
	f.WriteAt([]byte("damage"), 1000)
	f.Close()
	if _, err := event.New(event.Journal(dir)); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("damage in the middle: %v, want an error", err)
	}
	os.Remove(files[1])
	if _, err := event.New(event.Journal(dir)); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("a missing segment: %v, want an error", err)
	}
}

func ExampleJournal() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "journal")
	defer os.RemoveAll(dir)

	s, _ := event.New(event.Journal(dir))
	s.Publish(ctx, &event.Record{Type: "order.created", Subject: "order/42"})
	s.Close(ctx)

	s, _ = event.New(event.Journal(dir))
	defer s.Close(ctx)
	for r := range s.Query(ctx) {
		fmt.Println(r.Type, r.Subject)
	}
	// Output: order.created order/42
}
