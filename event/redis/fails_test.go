package redis

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event/internal/calls"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	goredis "github.com/redis/go-redis/v9"
)

// answer is what a server says.
type answer string

func (a answer) Error() string { return string(a) }
func (answer) RedisError()     {}

// failing is a hook of a client one of whose commands fails.
type failing struct{ *calls.Calls }

func (f failing) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (f failing) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		return f.send(func() error { return next(ctx, cmd) }, cmd)
	}
}

func (f failing) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		return f.send(func() error { return next(ctx, cmds) }, cmds...)
	}
}

// named is a command's name, and the second word of those that have two.
func named(cmd goredis.Cmder) string {
	switch name := cmd.Name(); name {
	case "client", "config", "xgroup":
		return name + " " + fmt.Sprint(cmd.Args()[1])
	default:
		return name
	}
}

func (f failing) send(do func() error, cmds ...goredis.Cmder) error {
	name := named(cmds[0])
	if name == "hello" || strings.HasPrefix(name, "client set") { // of a new connection
		return do()
	}
	next := f.Read
	if slices.Contains([]string{"multi", "xadd", "xack", "xgroup create", "xreadgroup", "xautoclaim", "evalsha", "config get"}, name) {
		next = f.Change
	}
	var err error
	switch next(name) {
	case calls.None:
		return do()
	case calls.Cut:
		err = io.ErrUnexpectedEOF
	case calls.Lost:
		_ = do()
		err = io.ErrUnexpectedEOF
	case calls.Refused:
		err = answer("ERR refused")
	}
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
	return err
}

func TestEveryCommandMayFail(t *testing.T) {
	leak.Check(t)
	server := servertest.SharedRedis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr(), DialTimeout: time.Minute, ReadTimeout: time.Minute})
	defer admin.Close()
	want := "group g 0, note g, deleted x, scheduled b 1e+13"
	calls.Run(t, want, func(t *testing.T, c *calls.Calls) calls.World {
		client, err := redis.Open(redis.Config{
			Address: server.Addr(), Timeout: time.Minute, Hooks: []goredis.Hook{failing{c}},
			Adjust: []func(*goredis.UniversalOptions){func(o *goredis.UniversalOptions) { o.DialTimeout = time.Minute }},
		})
		if err != nil {
			t.Fatal(err)
		}
		d := &driver{client: client, waiting: client.Waiting(), key: "{event:" + servertest.Namespace(t) + "}", log: slog.New(slog.DiscardHandler)}
		return calls.World{
			Driver: d,
			Lose:   func() error { return admin.XGroupDestroy(t.Context(), d.key, "g").Err() },
			Stored: func() string { return stored(t, admin, d) },
		}
	})
}

// inUse is how many connections of a client nobody has given back.
func inUse(c goredis.UniversalClient) uint32 {
	stats := c.PoolStats()
	return stats.TotalConns - stats.IdleConns
}

// A connection for what blocks is given back, also one that could not say which it is.
func TestConnectionsAreGivenBack(t *testing.T) {
	leak.Check(t)
	for name, fails := range map[string]bool{"it works": false, "it fails": true} {
		client, err := redis.Open(redis.Config{Address: servertest.SharedRedis(t).Addr(), Hooks: []goredis.Hook{refusing(fails)}})
		if err != nil {
			t.Fatal(err)
		}
		w := waiter{client: client.Waiting(), key: "k"}
		for range 2 {
			_, err = w.connect(t.Context())
			if (err != nil) != fails {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := inUse(w.client.UniversalClient); (n == 1) == fails || n > 1 {
			t.Errorf("%s: %d connections are in use", name, n)
		}
		w.close()
		w.close()
		if n := inUse(w.client.UniversalClient); n > 0 {
			t.Errorf("%s: %d connections are in use after close", name, n)
		}
		client.Close()
	}
}

// refusing is a hook of a server that does not say which connection one is.
type refusing bool

func (r refusing) DialHook(next goredis.DialHook) goredis.DialHook { return next }
func (r refusing) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (r refusing) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := next(ctx, cmd)
		if bool(r) && named(cmd) == "client id" {
			err = answer("ERR refused")
			cmd.SetErr(err)
		}
		return err
	}
}

// stored is what the server has beside the stream, without the index.
func stored(t *testing.T, c *goredis.Client, d *driver) string {
	t.Helper()
	ctx := t.Context()
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	groups, err := c.XInfoGroups(ctx, d.key).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		add("group %s %d", g.Name, g.Pending)
	}
	for _, name := range c.HKeys(ctx, d.groupsKey()).Val() {
		add("note %s", name)
	}
	for _, name := range c.HKeys(ctx, d.deletedKey()).Val() {
		add("deleted %s", name)
	}
	for _, name := range c.ZRange(ctx, d.key+":members:g", 0, -1).Val() {
		add("member %s", name)
	}
	if c.Exists(ctx, d.leaseKey("x")).Val() > 0 {
		add("lease")
	}
	for _, z := range c.ZRangeWithScores(ctx, d.planKeys()[0], 0, -1).Val() {
		add("scheduled %s %v", z.Member, z.Score)
	}
	for name := range c.HGetAll(ctx, d.planKeys()[1]).Val() {
		if name != "b" {
			add("left %s", name)
		}
	}
	return strings.Join(all, ", ")
}
