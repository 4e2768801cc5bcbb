package sync_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/micro/go-platform/kv"
	dsync "github.com/micro/go-platform/sync"
)

func ExampleNew() {
	ctx := context.Background()
	s, err := dsync.New() // or dsync.New(etcd.Backend("127.0.0.1:2379")), consul, redis
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	lock, err := s.Lock(ctx, "reports")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lock.Unlock(ctx)
	fmt.Println("holding", lock.ID(), "with token", lock.Token())
	// Output: holding reports with token 1
}

func ExampleSync_tryLock() {
	ctx := context.Background()
	s, _ := dsync.New()
	defer s.Close()
	lock, _ := s.TryLock(ctx, "reports", dsync.Owner("worker 1"))
	_, err := s.TryLock(ctx, "reports")
	fmt.Println(err, errors.Is(err, dsync.ErrHeld))
	lock.Unlock(ctx)
	// Output: sync/memory: try lock "reports": held by another: owner "worker 1", token 1 true
}

func ExampleSync_semaphore() {
	ctx := context.Background()
	s, _ := dsync.New()
	defer s.Close()
	for range 2 {
		s.Semaphore(ctx, "exports", 2)
	}
	_, err := s.Semaphore(ctx, "exports", 2, dsync.Wait(10*time.Millisecond))
	fmt.Println(err)
	// Output: sync/memory: semaphore "exports": timed out: waited 10ms
}

func ExampleSync_leader() {
	ctx := context.Background()
	s, _ := dsync.New()
	defer s.Close()
	l, _ := s.Leader("scheduler", dsync.Owner("10.0.0.7:8080"))
	defer l.Close()
	fmt.Println(l.Status())

	term, _ := l.Elect(ctx)
	now, _ := l.Leader(ctx)
	fmt.Println(l.Status(), now.Owner)

	term.Resign(ctx)
	_, err := l.Leader(ctx)
	fmt.Println(l.Status(), errors.Is(err, dsync.ErrNoLeader), term.Context().Err())
	// Output:
	// follower
	// elected 10.0.0.7:8080
	// follower true context canceled
}

func ExampleDo() {
	s, _ := dsync.New()
	defer s.Close()
	err := dsync.Do(context.Background(), s, "reports", func(ctx context.Context, token uint64) error {
		fmt.Println("working under token", token)
		return ctx.Err() // ends if the lock is lost
	})
	fmt.Println(err)
	// Output:
	// working under token 1
	// <nil>
}

func ExampleRunElected() {
	s, _ := dsync.New()
	defer s.Close()
	l, _ := s.Leader("scheduler")
	defer l.Close()
	err := dsync.RunElected(context.Background(), l, func(ctx context.Context, token uint64) error {
		fmt.Println("leading")
		return nil // resigns; after a loss it would campaign again
	})
	fmt.Println(err)
	// Output:
	// leading
	// <nil>
}

func ExampleFence() {
	var fence dsync.Fence
	fmt.Println(fence.Check(33)) // the first holder
	fmt.Println(fence.Check(34)) // its successor
	fmt.Println(fence.Check(33)) // the first one, late
	// Output:
	// <nil>
	// <nil>
	// sync: fence: conflict: token 33 is older than 34
}

// kvCell is a key of package kv as a Cell.
type kvCell struct {
	store kv.KV
	key   string
}

func (c kvCell) Load(ctx context.Context) ([]byte, uint64, error) {
	item, err := c.store.Get(ctx, c.key)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, 0, nil
	}
	return item.Value, uint64(item.Revision), err
}

func (c kvCell) Store(ctx context.Context, value []byte, revision uint64) error {
	var condition kv.PutOption = kv.IfRevision(kv.Revision(revision))
	if revision == 0 {
		condition = kv.IfAbsent()
	}
	_, err := c.store.Put(ctx, c.key, value, condition)
	return err
}

func ExampleWriteFenced() {
	ctx := context.Background()
	store, _ := kv.New() // on redis, etcd or consul the server compares
	defer store.Close()
	cell := kvCell{store, "balance"}

	fmt.Println(dsync.WriteFenced(ctx, cell, 33, []byte("100")))
	fmt.Println(dsync.WriteFenced(ctx, cell, 34, []byte("90")))
	fmt.Println(dsync.WriteFenced(ctx, cell, 33, []byte("100"))) // paused, woke up late

	value, token, _ := dsync.ReadFenced(ctx, cell)
	fmt.Println(string(value), token)
	// Output:
	// <nil>
	// <nil>
	// sync: write fenced: conflict: token 33 is older than 34
	// 90 34
}
