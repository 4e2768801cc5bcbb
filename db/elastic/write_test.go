package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

// A server repeats a write by itself when a primary shard fails under it, and
// then takes it for another's.
func TestRepeatedWritesKnowThemselves(t *testing.T) {
	const conflict = `{"items":[{"%s":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"conflict"}}}]}`
	f, tb := stage(t)
	twice := func(verb string) hook {
		first := true
		return func(w http.ResponseWriter, r *http.Request, body string) bool {
			if !strings.HasSuffix(r.URL.Path, "_bulk") || !first {
				return false
			}
			first = false
			f.answer(silent{http.Header{}}, r, body)
			fmt.Fprintf(w, conflict, verb)
			return true
		}
	}
	r := &db.Record{ID: "x"}
	f.on(twice("create"))
	if err := tb.Create(t.Context(), r); err != nil || r.Version == 0 {
		t.Errorf("Create: %v, version %d, want success", err, r.Version)
	}
	f.on(twice("index"))
	first := r.Version
	if err := tb.Update(t.Context(), r); err != nil || r.Version != first+1 {
		t.Errorf("Update: %v, version %d, want success", err, r.Version)
	}
	f.on(twice("index"))
	if err := tb.Update(t.Context(), r, db.Force()); err != nil || r.Version != first+2 {
		t.Errorf("Force: %v, version %d after %d, want it written once", err, r.Version, first)
	}
	f.on(nil)
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); !errors.Is(err, db.ErrExists) {
		t.Errorf("Create of a taken id: %v, want ErrExists", err)
	}
}

func TestBatchesAreSplitAsServersWant(t *testing.T) {
	f, tb := stage(t)
	f.on(func(w http.ResponseWriter, r *http.Request, body string) bool {
		if strings.HasSuffix(r.URL.Path, "_bulk") && len(body) > 5000 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return true
		}
		return false
	})
	var ops []db.Op
	for range 30 {
		ops = append(ops, db.CreateOp(&db.Record{Data: make([]byte, 1000)}))
	}
	ops = append(ops, db.CreateOp(&db.Record{ID: "large", Data: make([]byte, 10_000)}))
	err := tb.Batch(t.Context(), ops...)
	var be *db.BatchError
	if !errors.Is(err, db.ErrTooLarge) || !errors.As(err, &be) || be.Index != 30 {
		t.Errorf("got %v, want ErrTooLarge for the last write alone", err)
	}
	if n, err := tb.Count(t.Context()); n != 30 || err != nil {
		t.Errorf("%d records, %v, want 30", n, err)
	}
}

func TestBusyServersAreAskedAgain(t *testing.T) {
	f, tb := stage(t)
	f.on(fail("_bulk", 2, 429, ""))
	if err := tb.Create(t.Context(), &db.Record{ID: "a"}); err != nil || f.count("_bulk") != 3 {
		t.Errorf("after %d requests: %v, want success with the third", f.count("_bulk"), err)
	}
	// A part of a bulk request that was rejected is sent again, alone.
	const rejected = `{"items":[{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}}]}`
	f.on(fail("_bulk", 2, 200, rejected))
	if err := tb.Create(t.Context(), &db.Record{ID: "b"}); err != nil || f.count("_bulk") != 6 {
		t.Errorf("after %d requests: %v, want success with the third", f.count("_bulk")-3, err)
	}
	f.on(fail("_bulk", 1000, 200, rejected))
	if err := tb.Create(t.Context(), &db.Record{ID: "c"}); !errors.Is(err, db.ErrUnavailable) || f.count("_bulk") != 12 {
		t.Errorf("always busy: %v after %d requests, want ErrUnavailable after six", err, f.count("_bulk")-6)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	f.on(fail("_mget", 1000, 429, ""))
	if _, err := tb.Read(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
}
