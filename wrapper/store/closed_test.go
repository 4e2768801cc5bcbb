package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	gosync "sync"
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/wrapper"
	"github.com/micro/go-platform/wrapper/store"
)

// recorder keeps calls that ended.
type recorder struct {
	mu    gosync.Mutex
	calls []wrapper.Call
}

func (r *recorder) Begin(ctx context.Context, _ *wrapper.Call) context.Context { return ctx }
func (r *recorder) End(_ context.Context, c *wrapper.Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, *c)
}

// last is the newest call, if it is the only one since last was asked.
func (r *recorder) last() (c wrapper.Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) == 1 {
		c = r.calls[0]
	}
	r.calls = nil
	return c
}

// sequence is the error of a sequence.
func sequence[T any](all iter.Seq2[T, error]) (failed error) {
	for _, err := range all {
		failed = errors.Join(failed, err)
	}
	return failed
}

// What a store that is closed says, its user is told, and the call is the caller's error.
func TestErrorsOfTheStoresArePassedOn(t *testing.T) {
	rec := &recorder{}
	w, err1 := wrapper.New(wrapper.WithName("shop"), wrapper.WithObserver(rec))
	innerKV, err2 := kv.New()
	innerDB, err3 := db.New()
	innerSync, err4 := sync.New()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.WithoutCancel(t.Context()))
	ctx := w.Adapter().Context(t.Context(), &wrapper.Call{Side: wrapper.Server, RequestID: "request"})
	s, d, locks := store.KV(w, innerKV, "a"), store.DB(w, innerDB, "b"), store.Sync(w, innerSync, "c")
	orders, err := d.Table(ctx, "orders")
	if err != nil {
		t.Fatal(err)
	}
	leader, err := locks.Leader("boss")
	if err != nil {
		t.Fatal(err)
	}
	for name, close := range map[string]func() error{"kv": s.Close, "db": d.Close, "sync": locks.Close} {
		if err := close(); err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
	}
	r := &db.Record{ID: "1"}
	for name, c := range map[string]struct {
		call   func() error
		closed error
		method string // and for how many items; "": it is no call
	}{
		"Get":     {func() error { _, err := s.Get(ctx, "a"); return err }, kv.ErrClosed, "get 1"},
		"GetMany": {func() error { _, err := s.GetMany(ctx, "a", "b"); return err }, kv.ErrClosed, "get 2"},
		"Put":     {func() error { _, err := s.Put(ctx, "a", nil); return err }, kv.ErrClosed, "put 1"},
		"PutMany": {func() error { return s.PutMany(ctx, map[string][]byte{"a": nil, "b": nil, "c": nil}) }, kv.ErrClosed, "put 3"},
		"Delete":  {func() error { return s.Delete(ctx, "a") }, kv.ErrClosed, "delete 1"},
		"Add":     {func() error { _, err := s.Add(ctx, "a", 1); return err }, kv.ErrClosed, "add 1"},
		"List":    {func() error { return sequence(s.List(ctx, "")) }, kv.ErrClosed, "list 1"},

		"Table":         {func() error { _, err := d.Table(ctx, "more"); return err }, db.ErrClosed, "open more 1"},
		"Tx":            {func() error { return d.Tx(ctx, func(context.Context, db.DB) error { return nil }) }, db.ErrClosed, "tx 1"},
		"table.Create":  {func() error { return orders.Create(ctx, r) }, db.ErrClosed, "create orders 1"},
		"table.Read":    {func() error { _, err := orders.Read(ctx, "1"); return err }, db.ErrClosed, "read orders 1"},
		"table.Update":  {func() error { return orders.Update(ctx, r) }, db.ErrClosed, "update orders 1"},
		"table.Patch":   {func() error { _, err := orders.Patch(ctx, "1", db.Set("/a", 1)); return err }, db.ErrClosed, "patch orders 1"},
		"table.Delete":  {func() error { return orders.Delete(ctx, "1") }, db.ErrClosed, "delete orders 1"},
		"table.Restore": {func() error { _, err := orders.Restore(ctx, "1"); return err }, db.ErrClosed, "restore orders 1"},
		"table.Search":  {func() error { _, err := orders.Search(ctx); return err }, db.ErrClosed, "search orders 1"},
		"table.All":     {func() error { return sequence(orders.All(ctx)) }, db.ErrClosed, "search orders 1"},
		"table.Count":   {func() error { _, err := orders.Count(ctx); return err }, db.ErrClosed, "count orders 1"},
		"table.Batch":   {func() error { return orders.Batch(ctx, db.CreateOp(r), db.CreateOp(&db.Record{ID: "2"})) }, db.ErrClosed, "batch orders 2"},

		"Lock":      {func() error { _, err := locks.Lock(ctx, "id"); return err }, sync.ErrClosed, "lock 1"},
		"TryLock":   {func() error { _, err := locks.TryLock(ctx, "id"); return err }, sync.ErrClosed, "try_lock 1"},
		"Semaphore": {func() error { _, err := locks.Semaphore(ctx, "id", 2); return err }, sync.ErrClosed, "semaphore 1"},
		"Leader":    {func() error { _, err := locks.Leader("id"); return err }, sync.ErrClosed, ""},
		"Elect":     {func() error { _, err := leader.Elect(ctx); return err }, sync.ErrClosed, ""},
	} {
		rec.last()
		if err := c.call(); !errors.Is(err, c.closed) {
			t.Errorf("%s: %v, want %v", name, err, c.closed)
		}
		got := rec.last()
		if c.method == "" {
			continue
		}
		if text := fmt.Sprint(got.Method, " ", got.Messages); text != c.method || got.Class != router.ClientError || !errors.Is(got.Err, c.closed) || got.RequestID != "request" || got.Duration < 0 {
			t.Errorf("%s: recorded %q of %q, %v, %v, want %q", name, text, got.RequestID, got.Class, got.Err, c.method)
		}
	}
}

// answering is a store that says one thing.
type answering struct {
	kv.KV
	err error
}

func (a answering) Get(context.Context, string, ...kv.GetOption) (kv.Item, error) {
	return kv.Item{}, a.err
}

// refusing are locks that say one thing, also at Close.
type refusing struct {
	sync.Sync
	err error
}

func (r refusing) Lock(context.Context, string, ...sync.LockOption) (sync.Lock, error) {
	return nil, r.err
}
func (r refusing) Close() error { return errors.Join(r.Sync.Close(), r.err) }

// What a store says of its items is no failure of the call, and kinds of other packages
// mean nothing.
func TestClassesOfErrors(t *testing.T) {
	rec := &recorder{}
	w, err1 := wrapper.New(wrapper.WithName("shop"), wrapper.WithObserver(rec))
	innerKV, err2 := kv.New()
	innerSync, err3 := sync.New()
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.WithoutCancel(t.Context()))
	defer innerKV.Close()
	for _, c := range []struct {
		says, locks error
		want        router.Class
	}{
		{nil, nil, router.OK}, {kv.ErrNotFound, sync.ErrHeld, router.OK}, {kv.ErrExists, sync.ErrNoLeader, router.OK}, {kv.ErrConflict, sync.ErrConflict, router.OK},
		{kv.ErrUnavailable, sync.ErrUnavailable, router.Unsent}, {kv.ErrUnknownOutcome, sync.ErrUnknownOutcome, router.Connect},
		{kv.ErrInvalid, sync.ErrInvalid, router.ClientError}, {kv.ErrUnsupported, sync.ErrUnsupported, router.ClientError},
		{kv.ErrClosed, sync.ErrClosed, router.ClientError}, {kv.ErrTooLarge, nil, router.ClientError},
		{context.Canceled, context.Canceled, router.Cancelled}, {context.DeadlineExceeded, context.DeadlineExceeded, router.Timeout}, {nil, sync.ErrTimeout, router.Timeout},
		{errors.New("else"), errors.New("else"), router.ServerError}, {sync.ErrHeld, kv.ErrNotFound, router.ServerError},
	} {
		check := func(name string, said error) {
			got := rec.last()
			failed := c.want != router.OK
			if got.Class != c.want || (got.Err != nil) != failed || failed && !errors.Is(got.Err, said) {
				t.Errorf("%s: %v is %v with %v, want %v", name, said, got.Class, got.Err, c.want)
			}
		}
		if c.says != nil || c.locks == nil {
			if _, err := store.KV(w, answering{innerKV, c.says}, "a").Get(t.Context(), "k"); !errors.Is(err, c.says) {
				t.Errorf("kv: %v, want %v", err, c.says)
			}
			check("kv", c.says)
		}
		if c.locks != nil {
			s := store.Sync(w, refusing{innerSync, c.locks}, "a")
			if _, err := s.Lock(t.Context(), "id"); !errors.Is(err, c.locks) {
				t.Errorf("sync: %v, want %v", err, c.locks)
			}
			check("sync", c.locks)
			if err := s.Close(); !errors.Is(err, c.locks) {
				t.Errorf("sync: Close: %v, want %v", err, c.locks)
			}
		}
	}
}
