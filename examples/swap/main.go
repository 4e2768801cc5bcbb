// Command swap runs the same code on whichever store its flag names.
//
//	go run ./examples/swap
//	go run ./examples/swap -redis 127.0.0.1:6379
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/redis"
)

// snippet: swap
func open(addr string) (kv.KV, error) {
	if addr == "" {
		return kv.New() // in this process
	}
	return kv.New(redis.Backend(addr)) // the same on Redis
}

// end snippet

func run(ctx context.Context, addr string, out io.Writer) error {
	store, err := open(addr)
	if err != nil {
		return err
	}
	defer store.Close()
	if _, err := store.Put(ctx, "greeting", []byte("hello"), kv.TTL(time.Minute)); err != nil {
		return err
	}
	item, err := store.Get(ctx, "greeting")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s = %s\n", item.Key, item.Value)
	return nil
}

func main() {
	addr := flag.String("redis", "", "address of a Redis server")
	flag.Parse()
	if err := run(context.Background(), *addr, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
