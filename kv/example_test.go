package kv_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/micro/go-platform/kv"
)

func Example() {
	ctx := context.Background()
	store, err := kv.New() // kv.New(redis.Backend("127.0.0.1:6379")) is the same on Redis
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	rev, err := store.Put(ctx, "users/1", []byte("Ada"), kv.TTL(time.Hour))
	if err != nil {
		log.Fatal(err)
	}
	item, err := store.Get(ctx, "users/1")
	fmt.Printf("%s, %v, lives %v\n", item.Value, err, time.Until(item.Expires).Round(time.Minute))

	_, err = store.Put(ctx, "users/1", []byte("Ada Lovelace"), kv.IfRevision(rev))
	fmt.Println("nobody was faster:", err)
	_, err = store.Put(ctx, "users/1", []byte("Grace"), kv.IfRevision(rev))
	fmt.Println("somebody was faster:", errors.Is(err, kv.ErrConflict))
	// Output:
	// Ada, <nil>, lives 1h0m0s
	// nobody was faster: <nil>
	// somebody was faster: true
}

func ExampleNew() {
	store, err := kv.New(kv.Memory(kv.MaxBytes(16<<20)), kv.WithNamespace("shop"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	_, err = store.Get(context.Background(), "nobody")
	fmt.Println(err)
	// Output: kv/memory: get "nobody": not found
}

func ExampleKV_GetMany() {
	ctx := context.Background()
	store, _ := kv.New()
	defer store.Close()
	_ = store.PutMany(ctx, map[string][]byte{"a": []byte("1"), "b": []byte("2")}, kv.TTL(time.Minute))
	items, err := store.GetMany(ctx, "a", "b", "c")
	fmt.Println(len(items), string(items["b"].Value), err)
	// Output: 2 2 <nil>
}

func ExampleKV_Put() {
	ctx := context.Background()
	store, _ := kv.New()
	defer store.Close()
	_, err := store.Put(ctx, "once", []byte("first"), kv.IfAbsent())
	fmt.Println(err)
	_, err = store.Put(ctx, "once", []byte("second"), kv.IfAbsent())
	fmt.Println(err)
	// Output:
	// <nil>
	// kv/memory: put "once": already exists
}

func ExampleKV_Delete() {
	ctx := context.Background()
	store, _ := kv.New()
	defer store.Close()
	rev, _ := store.Put(ctx, "k", []byte("v"))
	fmt.Println(store.Delete(ctx, "k", kv.IfRevision(rev)))
	fmt.Println(store.Delete(ctx, "k")) // gone already, which is fine
	// Output:
	// <nil>
	// <nil>
}

func ExampleKV_Add() {
	ctx := context.Background()
	store, _ := kv.New()
	defer store.Close()
	for range 3 {
		n, err := store.Add(ctx, "visits", 1, kv.TTL(time.Hour))
		fmt.Println(n, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}

func ExampleKV_List() {
	ctx := context.Background()
	store, _ := kv.New()
	defer store.Close()
	for _, key := range []string{"users/2", "users/1", "orders/7", "users/3"} {
		_, _ = store.Put(ctx, key, []byte("…"))
	}
	last := ""
	for {
		n := 0
		for item, err := range store.List(ctx, "users/", kv.After(last), kv.Limit(2)) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(item.Key)
			last = item.Key
			n++
		}
		if n < 2 {
			break
		}
		fmt.Println("-- next page")
	}
	// Output:
	// users/1
	// users/2
	// -- next page
	// users/3
}

func ExampleKV_Watch() {
	ctx := context.Background()
	store, _ := kv.New()
	defer store.Close()
	_, _ = store.Put(ctx, "conf/a", []byte("1"))
	for event, err := range store.Watch(ctx, "conf/") {
		if err != nil {
			fmt.Println("the backend is unavailable:", err)
			continue
		}
		fmt.Printf("%v %s=%s\n", event.Kind, event.Item.Key, event.Item.Value)
		switch {
		case event.Kind == kv.EventSynced:
			_, _ = store.Put(ctx, "conf/b", []byte("2"))
		case event.Item.Key == "conf/b" && event.Kind == kv.EventPut:
			_ = store.Delete(ctx, "conf/a")
		case event.Kind == kv.EventDelete:
			return
		}
	}
	// Output:
	// put conf/a=1
	// synced =
	// put conf/b=2
	// delete conf/a=
}

func ExampleWithDriver() {
	// Two stores on one driver, kept apart by their namespaces.
	driver, err := kv.NewMemoryDriver()
	if err != nil {
		log.Fatal(err)
	}
	backend := kv.WithDriver("mine", func(context.Context) (kv.Driver, error) { return driver, nil })
	a, _ := kv.New(backend, kv.WithNamespace("a"))
	b, _ := kv.New(backend, kv.WithNamespace("b"))
	_, _ = a.Put(context.Background(), "k", []byte("of a"))
	_, err = b.Get(context.Background(), "k")
	fmt.Println(err)
	// Output: kv/mine: get "k": not found
}

func ExampleWithObserver() {
	store, _ := kv.New(kv.WithObserver(func(c kv.Call) { fmt.Println(c.Backend, c.Op, c.Keys, c.Err) }))
	defer store.Close()
	_, _ = store.Put(context.Background(), "k", nil)
	// Output: kv/memory put 1 <nil>
}

func ExampleUpdate() {
	ctx := context.Background()
	store, _ := kv.New()
	defer store.Close()
	for range 2 {
		item, err := kv.Update(ctx, store, "log", func(item kv.Item, ok bool) ([]byte, error) {
			return append(append([]byte{}, item.Value...), "line\n"...), nil
		})
		fmt.Printf("%q %v\n", item.Value, err)
	}
	// Output:
	// "line\n" <nil>
	// "line\nline\n" <nil>
}

func ExampleNewTyped() {
	type user struct{ Name string }
	ctx := context.Background()
	store, _ := kv.New()
	defer store.Close()
	users := kv.NewTyped[user](store, nil) // nil: JSON
	_, _ = users.Put(ctx, "users/1", user{"Ada"})
	entry, err := users.Get(ctx, "users/1")
	fmt.Println(entry.Value.Name, err)
	// Output: Ada <nil>
}

// Get tells when an item expires if it is asked for.
func ExampleExpiry() {
	store, err := kv.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	ctx := context.Background()
	if _, err := store.Put(ctx, "session", []byte("Ada"), kv.TTL(time.Hour)); err != nil {
		fmt.Println(err)
		return
	}
	item, err := store.Get(ctx, "session", kv.Expiry())
	fmt.Println(time.Until(item.Expires).Round(time.Minute), err)
	// Output: 1h0m0s <nil>
}
