package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
	"github.com/micro/go-platform/wrapper/store"
)

func TestMain(m *testing.M) { leak.Main(m) }

// observed is a wrapper, and what it saw: "span name|error.type|parent's name".
func observed(t *testing.T) (w *wrapper.Wrapper, mt metrics.Metrics, spans func() []string) {
	t.Helper()
	memory := trace.NewStore(1000, time.Hour)
	tr, err1 := trace.New(trace.Memory(memory))
	mt, err2 := metrics.New()
	mo, err3 := monitor.New()
	w, err4 := wrapper.New(wrapper.WithName("shop"), wrapper.WithTrace(tr), wrapper.WithMetrics(mt), wrapper.WithMonitor(mo))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(context.Background()) })
	return w, mt, func() (all []string) {
		t.Helper()
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := memory.Search(t.Context(), trace.Query{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for i := len(page.Traces) - 1; i >= 0; i-- { // the oldest first
			names := map[trace.SpanID]string{}
			for _, s := range page.Traces[i].Spans {
				names[s.Context.SpanID] = s.Name
				failed := ""
				for _, a := range s.Tags {
					if a.Key == "error.type" {
						failed = a.Value.String()
					}
				}
				if s.Kind != trace.Client || (failed != "") != (s.Err != "") {
					t.Errorf("%+v", s)
				}
				all = append(all, s.Name+"|"+failed+"|"+names[s.Context.ParentID])
			}
		}
		return all
	}
}

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("spans\n%q, want\n%q", got, want)
		}
	}
}

func TestKV(t *testing.T) {
	w, mt, spans := observed(t)
	inner, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	s, ctx := store.KV(w, inner, "memory"), t.Context()
	revision, err1 := s.Put(ctx, "a", []byte("1"))
	_, err2 := s.Get(ctx, "a")
	_, err3 := s.GetMany(ctx, "a", "b")
	err4 := s.PutMany(ctx, map[string][]byte{"b": nil, "c": nil})
	n, err5 := s.Add(ctx, "a", 2)
	err6 := s.Delete(ctx, "b")
	var keys []string
	for item, err := range s.List(ctx, "") {
		keys = append(keys, fmt.Sprint(item.Key, err))
	}
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil || revision == 0 || n != 3 || fmt.Sprint(keys) != "[a<nil> c<nil>]" {
		t.Errorf("%v %v %v %v", err, revision, n, keys)
	}
	for range s.List(ctx, "") { // its reader stops
		break
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err1 = s.Get(ctx, "none")
	_, err2 = s.Put(ctx, "a", nil, kv.IfAbsent())
	_, err3 = s.Put(ctx, "a", nil, kv.IfRevision(revision))
	_, err4 = s.Get(ctx, "")
	_, err5 = s.Get(ended, "a")
	if !errors.Is(err1, kv.ErrNotFound) || !errors.Is(err2, kv.ErrExists) || !errors.Is(err3, kv.ErrConflict) || !errors.Is(err4, kv.ErrInvalid) || !errors.Is(err5, context.Canceled) {
		t.Error(err1, err2, err3, err4, err5)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, err := range s.List(ctx, "") {
		if !errors.Is(err, kv.ErrClosed) {
			t.Error(err)
		}
	}
	check(t, spans(), "put||", "get||", "get||", "put||", "add||", "delete||", "list||", "list||",
		"get||", "put||", "put||", "get|client_error|", "get||", "list|client_error|")
	snap := mt.Snapshot()
	for values, want := range map[[2]string]uint64{{"get", ""}: 4, {"get", "client_error"}: 1, {"put", ""}: 4, {"list", ""}: 2, {"list", "client_error"}: 1} {
		if s, _ := snap.Find("db.client.operation.duration", "memory", values[0], "", values[1]); s.Count != want {
			t.Errorf("%q: %d, want %d", values, s.Count, want)
		}
	}
}

// Nobody listens: the call was certainly not applied.
func TestUnavailable(t *testing.T) {
	w, mt, spans := observed(t)
	inner, err := kv.New(redis.Backend("127.0.0.1:1"), kv.WithLazy())
	if err != nil {
		t.Fatal(err)
	}
	s := store.KV(w, inner, "redis")
	defer s.Close()
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, kv.ErrUnavailable) {
		t.Fatal(err)
	}
	check(t, spans(), "get|unsent|")
	if s, _ := mt.Snapshot().Find("db.client.operation.duration", "redis", "get", "", "unsent"); s.Count != 1 {
		t.Errorf("%+v", mt.Snapshot())
	}
}

func TestDB(t *testing.T) {
	w, mt, spans := observed(t)
	inner, err := db.New(sql.SQLite(filepath.Join(t.TempDir(), "orders.db")))
	if err != nil {
		t.Fatal(err)
	}
	d, ctx := store.DB(w, inner, "sqlite"), t.Context()
	defer d.Close()
	orders, err := d.Table(ctx, "orders")
	if err != nil {
		t.Fatal(err)
	}
	r := &db.Record{ID: "1"}
	err1 := orders.Create(ctx, r)
	_, err2 := orders.Read(ctx, "1")
	err3 := orders.Update(ctx, r)
	_, err4 := orders.Patch(ctx, "1")
	_, err5 := orders.Search(ctx)
	n, err6 := orders.Count(ctx)
	err7 := orders.Batch(ctx, db.CreateOp(&db.Record{ID: "2"}), db.CreateOp(&db.Record{ID: "3"}))
	for _, err := range orders.All(ctx) {
		err7 = errors.Join(err7, err)
	}
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, orders.Delete(ctx, "3")); err != nil || n != 1 {
		t.Fatal(err, n)
	}
	boom := errors.New("boom")
	err = d.Tx(ctx, func(ctx context.Context, tx db.DB) error {
		if _, ok := db.SQL(tx); !ok {
			t.Error("the transaction can't be reached")
		}
		in, err := tx.Table(ctx, "orders")
		if err != nil {
			return err
		}
		if _, err := in.Read(ctx, "none"); !errors.Is(err, db.ErrNotFound) {
			t.Error(err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Error(err)
	}
	if err := d.Tx(ctx, nil); !errors.Is(err, db.ErrInvalid) {
		t.Errorf("no function: %v", err)
	}
	check(t, spans(), "open orders||", "create orders||", "read orders||", "update orders||", "patch orders||", "search orders||", "count orders||",
		"batch orders||", "search orders||", "delete orders||", "tx|server_error|", "open orders||tx", "read orders||tx", "tx|client_error|")
	if s, _ := mt.Snapshot().Find("db.client.operation.duration", "sqlite", "read", "orders", ""); s.Count != 2 {
		t.Errorf("%d reads, want 2", s.Count)
	}
}

func TestSync(t *testing.T) {
	w, mt, spans := observed(t)
	inner, err := sync.New()
	if err != nil {
		t.Fatal(err)
	}
	s, ctx := store.Sync(w, inner, "memory"), t.Context()
	defer s.Close()
	lock, err := s.Lock(ctx, "jobs")
	if err != nil {
		t.Fatal(err)
	}
	if trace.FromContext(lock.Context()).Context().IsValid() {
		t.Error("the lock's context has the span of the taking")
	}
	if _, err := s.TryLock(ctx, "jobs"); !errors.Is(err, sync.ErrHeld) {
		t.Error(err)
	}
	if _, err := s.Lock(ctx, "jobs", sync.Wait(time.Millisecond)); !errors.Is(err, sync.ErrTimeout) {
		t.Error(err)
	}
	if _, err := s.Semaphore(ctx, "places", 2); err != nil {
		t.Error(err)
	}
	check(t, spans(), "lock||", "try_lock||", "lock|timeout|", "semaphore||")
	if s, _ := mt.Snapshot().Find("platform.lock.acquire.duration", "memory", "lock", "timeout"); s.Count != 1 {
		t.Errorf("%+v", mt.Snapshot())
	}
}
