package sql_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/sql"
	connsql "github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/servertest"
)

func fill(t *testing.T, s event.Stream, n int, typ func(i int) string) {
	t.Helper()
	for i := 0; i < n; {
		rs := make([]*event.Record, min(1000, n-i))
		for j := range rs {
			rs[j] = &event.Record{ID: fmt.Sprint("id", i), Type: typ(i), Subject: fmt.Sprint(i)}
			i++
		}
		if err := s.Publish(t.Context(), rs...); err != nil {
			t.Fatal(err)
		}
	}
}

func subjects(t *testing.T, s event.Stream, opts ...event.QueryOption) (list []string) {
	t.Helper()
	for r, err := range s.Query(t.Context(), opts...) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r.Subject)
	}
	return list
}

// PostgreSQL without statistics sorted all that was left of the table for each
// page. What it read is counted here by itself: a few times the table, not once for
// each page.
func TestHistoryByTypeReadsTheTableOnceWithoutStatistics(t *testing.T) {
	server := servertest.Postgres(t, servertest.WithArgs("-c", "autovacuum=off"))
	with := func(f func(s event.Stream)) {
		t.Helper()
		s, err := event.New(patient(sql.Postgres(server.DSN()))...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(t.Context()) // with its connections end the server's books of them
		f(s)
	}
	db, err := connsql.Open(connsql.Config{Kind: connsql.Postgres, Address: server.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	read := func() (rows int64) {
		t.Helper()
		others := 1
		for deadline := time.Now().Add(60 * time.Second); others > 0; {
			if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()").Scan(&others); err != nil || time.Now().After(deadline) {
				t.Fatalf("%d other connections are left: %v", others, err)
			}
		}
		if err := db.QueryRowContext(t.Context(), "SELECT COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'events'").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	const n = 20_000
	with(func(s event.Stream) { fill(t, s, n, func(i int) string { return []string{"even", "odd"}[i%2] }) })
	before := read()
	with(func(s event.Stream) {
		if got := len(subjects(t, s, event.Types("odd"))); got != n/2 {
			t.Errorf("%d records, want %d", got, n/2)
		}
	})
	if rows := read() - before; rows < n/2 || rows > 4*n {
		t.Errorf("the database read %d rows for a history of %d records, want no more than four times those", rows, n)
	}
}

// Pages are made of windows that grow: rare records, far apart, at both ends,
// and in either direction.
func TestRareRecordsAreFoundInOrder(t *testing.T) {
	s, err := event.New(sql.SQLite(filepath.Join(t.TempDir(), "x.db")))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	const n = 5000
	rare := map[int]bool{0: true, 1: true, 511: true, 512: true, 513: true, 1535: true, 1536: true, 3000: true, n - 1: true}
	fill(t, s, n, func(i int) string {
		switch {
		case rare[i]:
			return "rare"
		case i > 2000 && i < 2900:
			return "dense"
		}
		return "common"
	})
	want := "[0 1 511 512 513 1535 1536 3000 4999]"
	if got := fmt.Sprint(subjects(t, s, event.Types("rare"))); got != want {
		t.Errorf("forward: %s, want %s", got, want)
	}
	if got := fmt.Sprint(subjects(t, s, event.Types("rare"), event.Reverse())); got != "[4999 3000 1536 1535 513 512 511 1 0]" {
		t.Errorf("backward: %s", got)
	}
	for _, opts := range [][]event.QueryOption{{event.Types("dense")}, {event.Types("dense"), event.Reverse()}} {
		got := subjects(t, s, opts...)
		if len(got) != 899 || got[0] != "2001" && got[0] != "2899" {
			t.Errorf("a dense stretch: %d records from %v, want 899", len(got), got[:1])
		}
	}
	if got := fmt.Sprint(subjects(t, s, event.Types("rare"), event.Limit(5))); got != "[0 1 511 512 513]" {
		t.Errorf("limited: %s", got)
	}
}

// Numbers go on after everything was trimmed and the file was opened again.
func TestPositionsAreNotUsedAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	open := func(opts ...event.Option) event.Stream {
		s, err := event.New(append(opts, sql.SQLite(file))...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(event.WithRetention(event.Retention{Age: time.Millisecond}), event.WithRetentionEvery(5*time.Millisecond))
	fill(t, s, 3, func(int) string { return "t" })
	for deadline := time.Now().Add(60 * time.Second); len(subjects(t, s)) > 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing was removed within a minute")
		}
		<-time.After(5 * time.Millisecond)
	}
	s.Close(t.Context())
	s = open()
	defer s.Close(t.Context())
	fill(t, s, 1, func(int) string { return "t" })
	for r := range s.Query(t.Context()) {
		if r.Position != "4" {
			t.Errorf("position %s after three records were removed, want 4", r.Position)
		}
	}
}

func TestRetentionByBytesCountsWhatWasAppended(t *testing.T) {
	s, err := event.New(sql.SQLite(filepath.Join(t.TempDir(), "x.db")), event.WithRetention(event.Retention{Bytes: 50_000}), event.WithRetentionEvery(5*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	for range 5 {
		for range 20 {
			if err := s.Publish(t.Context(), &event.Record{Type: "t", Data: make([]byte, 1000)}); err != nil {
				t.Fatal(err)
			}
		}
		for deadline := time.Now().Add(60 * time.Second); len(subjects(t, s)) > 46; {
			if time.Now().After(deadline) {
				t.Fatalf("%d records of more than 1000 bytes are left, want no more than 46", len(subjects(t, s)))
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	if n := len(subjects(t, s)); n < 40 {
		t.Errorf("%d records of about 1100 bytes are left, want as many as 50 000 bytes hold", n)
	}
}

func TestMySQLsPacketIsALimit(t *testing.T) {
	server := servertest.MariaDB(t, servertest.WithArgs("--max-allowed-packet=1M"))
	s, err := event.New(patient(sql.MySQL(server.DSN() + "mysql"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	data := func(b byte, n int) *event.Record { return &event.Record{Type: "t", Data: bytes.Repeat([]byte{b}, n)} }
	for name, rs := range map[string][]*event.Record{
		"alone": {data('x', 1<<20)}, "behind another": {data('x', 1), data('x', 1<<20)}, "escaped": {data(0, 600_000)},
	} {
		if err := s.Publish(t.Context(), rs...); !errors.Is(err, event.ErrTooLarge) {
			t.Errorf("%s: Publish = %v, want ErrTooLarge", name, err)
		}
	}
	several := []*event.Record{data('x', 1_000_000)}
	for range 10 {
		several = append(several, data('x', 300_000)) // together far above the limit
	}
	if err := s.Publish(t.Context(), several...); err != nil {
		t.Errorf("records that fit, in one Publish: %v", err)
	}
	n := 0
	for r, err := range s.Query(t.Context()) {
		if err != nil || len(r.Data) < 300_000 {
			t.Fatalf("read %d bytes, %v", len(r.Data), err)
		}
		n++
	}
	if n != 11 {
		t.Errorf("%d records stored, want 11", n)
	}
}
