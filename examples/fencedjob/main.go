// Command fencedjob runs a job that must not be done by two at once, and shows what keeps its
// result whole when one of them is paused for so long that another took over.
//
//	go run ./examples/fencedjob
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/micro/go-platform/kv"
	dsync "github.com/micro/go-platform/sync"
)

// snippet: cell
// cell is a key of a store as a place for fenced writes: the store compares, so no writer is too
// late by any time.
type cell struct {
	store kv.KV
	key   string
}

func (c cell) Load(ctx context.Context) ([]byte, uint64, error) {
	item, err := c.store.Get(ctx, c.key)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, 0, nil
	}
	return item.Value, uint64(item.Revision), err
}

func (c cell) Store(ctx context.Context, value []byte, revision uint64) error {
	_, err := c.store.Put(ctx, c.key, value, kv.IfRevision(kv.Revision(revision)))
	return err
}

// end snippet

// snippet: job
// bill does the night's work once at a time. ctx ends before anybody else can get the lock; the
// token is for the case that this process is too slow to notice.
func bill(ctx context.Context, s dsync.Sync, result dsync.Cell, work func(ctx context.Context, token uint64) ([]byte, error)) error {
	return dsync.Do(ctx, s, "billing", func(ctx context.Context, token uint64) error {
		total, err := work(ctx, token)
		if err != nil {
			return err
		}
		return dsync.WriteFenced(ctx, result, token, total)
	})
}

// end snippet

func run(ctx context.Context, out io.Writer) error {
	s, err := dsync.New() // or etcd.Backend, consul.Backend: their tokens always rise
	if err != nil {
		return err
	}
	defer s.Close()
	store, err := kv.New() // or redis, etcd, consul
	if err != nil {
		return err
	}
	defer store.Close()
	total := cell{store, "total"}

	var old uint64
	err = bill(ctx, s, total, func(_ context.Context, token uint64) ([]byte, error) {
		old = token
		_, err := s.TryLock(ctx, "billing")
		fmt.Fprintln(out, "a second one meanwhile:", errors.Is(err, dsync.ErrHeld))
		return []byte("100"), nil
	})
	if err != nil {
		return err
	}
	err = bill(ctx, s, total, func(_ context.Context, token uint64) ([]byte, error) {
		fmt.Fprintln(out, "the next one's token is larger:", token > old)
		return []byte("120"), nil
	})
	if err != nil {
		return err
	}

	// A process that was paused after its last look at ctx wakes up and writes.
	late := dsync.WriteFenced(ctx, total, old, []byte("100"))
	fmt.Fprintln(out, "a late write is refused:", errors.Is(late, dsync.ErrConflict))
	value, _, err := dsync.ReadFenced(ctx, total)
	fmt.Fprintf(out, "total: %s\n", value)
	return err
}

const about = "fencedjob: a job under a lock, and a late writer that is refused by its fencing token.\n\n"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Print(about)
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
