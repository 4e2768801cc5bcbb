package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/redis"
	goredis "github.com/redis/go-redis/v9"
)

// eachServer runs f on every server that speaks the protocol.
func eachServer(t *testing.T, f func(t *testing.T, server *servertest.Server, admin *goredis.Client)) {
	for name, opts := range map[string][]servertest.Option{
		"Redis 7": nil, "Redis 6.2": {servertest.WithRedis(servertest.Redis62)},
		"Redis 8": {servertest.WithRedis(servertest.Redis8)}, "Valkey 9": {servertest.WithRedis(servertest.Valkey9)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servertest.Redis(t, opts...)
			admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
			t.Cleanup(func() { admin.Close() })
			f(t, server, admin)
		})
	}
}

// TestRefusalsHaveTheirKind: what the server cannot do now is unavailable, what
// it never will is not. Within a script too, as the server's versions say it.
func TestRefusalsHaveTheirKind(t *testing.T) {
	eachServer(t, func(t *testing.T, server *servertest.Server, admin *goredis.Client) {
		do := func(words ...any) {
			t.Helper()
			if err := admin.Do(context.Background(), words...).Err(); err != nil {
				t.Fatal(words, err)
			}
		}
		ctx := t.Context()
		store := opener(redis.Backend(server.Addr()))(t)
		defer store.Close()
		rev, err := store.Put(ctx, "k", []byte("1"))
		if err != nil {
			t.Fatal(err)
		}
		bigRev, err := store.Put(ctx, "big", make([]byte, 32<<10))
		if err != nil {
			t.Fatal(err)
		}
		writes := map[string]func() error{
			"Put":              func() error { _, err := store.Put(ctx, "k", []byte("2")); return err },
			"IfAbsent":         func() error { _, err := store.Put(ctx, "new", []byte("2"), kv.IfAbsent()); return err },
			"IfRevision":       func() error { _, err := store.Put(ctx, "k", []byte("2"), kv.IfRevision(rev)); return err },
			"Add":              func() error { _, err := store.Add(ctx, "n", 1); return err },
			"Add with a TTL":   func() error { _, err := store.Add(ctx, "m", 1, kv.TTL(time.Hour)); return err },
			"large IfRevision": func() error { _, err := store.Put(ctx, "big", make([]byte, 32<<10), kv.IfRevision(bigRev)); return err },
		}
		all := func(what string, want error) {
			t.Helper()
			for name, write := range writes {
				if err := write(); !errors.Is(err, want) {
					t.Errorf("%s, %s: %v, want %v", what, name, err, want)
				}
			}
		}
		do("config", "set", "maxmemory", "1")
		all("out of memory", kv.ErrUnavailable)
		do("config", "set", "maxmemory", "0")

		do("replicaof", "127.0.0.1", "1")
		all("read-only", kv.ErrUnavailable)
		do("replicaof", "no", "one")

		do("lpush", "list", "x")
		if _, err := store.Put(ctx, "list", nil, kv.IfRevision(rev)); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("a list: %v, want ErrInvalid", err)
		}
		if _, err := store.Add(ctx, "list", 1, kv.TTL(time.Hour)); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("adding to a list: %v, want ErrInvalid", err)
		}

		do("acl", "setuser", "reader", "on", ">secret", "~*", "+@all", "-@write", "resetchannels")
		store = opener(redis.Backend("redis://reader:secret@" + server.Addr()))(t)
		t.Cleanup(func() { store.Close() })
		for name, write := range writes {
			if strings.HasPrefix(name, "large") {
				continue // the transaction is tried below
			}
			if err := write(); !errors.Is(err, kv.ErrDenied) || errors.Is(err, kv.ErrUnavailable) {
				t.Errorf("a reader's %s: %v, want ErrDenied", name, err)
			}
		}
		if _, err := store.Put(ctx, "big", make([]byte, 32<<10), kv.IfRevision(bigRev)); !errors.Is(err, kv.ErrDenied) {
			t.Errorf("a reader's large IfRevision: %v, want ErrDenied", err)
		}
		for name, addr := range map[string]string{"wrong password": "redis://reader:wrong@", "no user": "redis://nobody:secret@"} {
			if _, err := kv.New(redis.Backend(addr + server.Addr())); !errors.Is(err, kv.ErrDenied) || errors.Is(err, kv.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrDenied", name, err)
			}
		}
	})
}

// TestWatchNeedsNoChannels: the users of Redis 7 have none unless they are given
// some. A watch sees what other programs do, and what expires.
func TestWatchNeedsNoChannels(t *testing.T) {
	eachServer(t, func(t *testing.T, server *servertest.Server, admin *goredis.Client) {
		if err := admin.Do(t.Context(), "acl", "setuser", "app", "on", ">secret", "~shop/*", "+@all", "resetchannels").Err(); err != nil {
			t.Fatal(err)
		}
		store := opener(redis.Backend("redis://app:secret@"+server.Addr()))(t, kv.WithNamespace("shop"))
		defer store.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		admin.Set(ctx, "shop/there", "0", 0)
		steps := []struct {
			name string
			do   func() error
			want string
		}{
			{"our Put", func() error { _, err := store.Put(ctx, "k", []byte("1")); return err }, "put k 1"},
			{"another's SET", func() error { return admin.Set(ctx, "shop/k", "2", 0).Err() }, "put k 2"},
			{"another's APPEND", func() error { return admin.Append(ctx, "shop/k", "2").Err() }, "put k 22"},
			{"another's MSET", func() error { return admin.MSet(ctx, "other", "x", "shop/m", "1").Err() }, "put m 1"},
			{"another's DEL", func() error { return admin.Del(ctx, "shop/k").Err() }, "delete k "},
			{"a short life", func() error { return admin.Set(ctx, "shop/m", "short", 50*time.Millisecond).Err() }, "put m short"},
			{"its end", func() error { return nil }, "delete m "},
		}
		step := -1
		for e, err := range store.Watch(ctx, "") {
			switch {
			case err != nil:
				t.Fatal(err)
			case e.Kind == kv.EventSynced:
			case step < 0:
				continue
			default:
				if got := e.Kind.String() + " " + e.Item.Key + " " + string(e.Item.Value); got != steps[step].want {
					t.Fatalf("%s: the watch says %q, want %q", steps[step].name, got, steps[step].want)
				}
			}
			if step++; step == len(steps) {
				return
			}
			if err := steps[step].do(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestListsAndWatchesThatAreRefused: what lists keys, and what tells of changes, are
// rights of their own, and the second one needs a server that speaks RESP3.
func TestListsAndWatchesThatAreRefused(t *testing.T) {
	t.Parallel()
	server := servertest.Redis(t)
	old := servertest.Redis(t, servertest.WithArgs("--rename-command", "HELLO", ""))
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	for user, without := range map[string]string{"all": "+ping", "blind": "-scan", "deaf": "-client", "mute": "-hello"} {
		if err := admin.Do(t.Context(), "acl", "setuser", user, "on", ">secret", "~*", "+@all", without).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		addr        string
		list, watch error
	}{
		"all rights": {"redis://all:secret@" + server.Addr(), nil, nil},
		"no SCAN":    {"redis://blind:secret@" + server.Addr(), kv.ErrDenied, kv.ErrDenied},
		"no CLIENT":  {"redis://deaf:secret@" + server.Addr(), nil, kv.ErrDenied},
		"no HELLO":   {"redis://mute:secret@" + server.Addr(), nil, nil},
		"only RESP2": {"redis://" + old.Addr(), nil, kv.ErrUnsupported},
	} {
		store := opener(redis.Backend(c.addr))(t)
		defer store.Close()
		if _, err := store.Put(t.Context(), "k", []byte("v")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var listed, watched error
		for _, listed = range store.List(t.Context(), "") {
			break
		}
		for e, err := range store.Watch(t.Context(), "") {
			watched = err
			if err != nil || e.Kind == kv.EventSynced {
				break
			}
		}
		if !errors.Is(listed, c.list) || !errors.Is(watched, c.watch) {
			t.Errorf("%s: List %v, Watch %v, want %v and %v", name, listed, watched, c.list, c.watch)
		}
	}
}
