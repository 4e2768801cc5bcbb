package sql_test

import (
	dbsql "database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

// A lone record was four statements, each with a wait for its answer.
func TestLoneRecordIsOneRequestToPostgres(t *testing.T) {
	leak.Check(t)
	p := netfault.New(t, servertest.SharedPostgres(t).Addr())
	s, err := event.New(patient(sql.Postgres("postgres://postgres@"+p.Addr()+"/postgres?sslmode=disable"), event.WithNamespace(servertest.Namespace(t)))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	fill(t, s, 1, func(int) string { return "t" }) // makes the tables, prepares
	const n = 20
	before := p.Counts().Requests
	for i := range n {
		if err := s.Publish(t.Context(), &event.Record{Type: "t", Subject: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if sent := p.Counts().Requests - before; sent < n || sent >= 2*n {
		t.Errorf("%d requests for %d lone records, want one for each", sent, n)
	}
	if list := subjects(t, s); len(list) != n+1 {
		t.Errorf("%d records are stored, want %d", len(list), n+1)
	}
}

// A lone record also changed the row that counts the stream's records.
func TestLoneRecordChangesThePagesOfOneInsertInSQLite(t *testing.T) {
	leak.Check(t)
	const n = 50
	grown := func(file string, insert func(i int)) int64 {
		t.Helper()
		size := func() int64 {
			t.Helper()
			info, err := os.Stat(file + "-wal")
			if err != nil {
				t.Fatal(err)
			}
			return info.Size()
		}
		before := size()
		for i := range n {
			insert(i)
		}
		return size() - before
	}
	open := func(name string) (event.Stream, string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		s, err := event.New(sql.SQLite(file))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(t.Context()) })
		fill(t, s, 1, func(int) string { return "t" })
		return s, file
	}
	s, file := open("ours.db")
	ours := grown(file, func(i int) {
		if err := s.Publish(t.Context(), &event.Record{Type: "t", Subject: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	})
	_, file = open("raw.db")
	raw, err := dbsql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	least := grown(file, func(i int) {
		id := event.NewID()
		_, err := raw.ExecContext(t.Context(), "INSERT INTO events (seq, id, type, source, root, parent, subject, time, stored, size, content_type) VALUES (?, ?, 't', '', ?, '', ?, 1, 1, 100, '')", i+2, id, id, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
	})
	if least == 0 || ours > least+least/10 {
		t.Errorf("%d bytes for %d lone records, and %d for as many plain INSERTs", ours, n, least)
	}
}
