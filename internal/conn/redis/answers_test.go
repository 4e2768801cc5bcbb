package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/redis/go-redis/v9"
)

func TestAddressesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		Config
		why string // "" if it is none of them
	}{
		{Config{Address: "h"}, ""},
		{Config{Address: ""}, "empty"},
		{Config{Address: "h", PoolSize: -1}, "negative"},
		{Config{Address: "h", DB: -1}, "negative"},
		{Config{Address: "h", Timeout: -1}, "negative"},
		{Config{Address: "redis://h/0"}, ""},
		{Config{Address: "redis://h/-1"}, `database "-1"`},
		{Config{Address: "redis://h/x"}, `database "x"`},
		{Config{Address: "redis://h/?x=y"}, "has parameters"},
		{Config{Address: "redis+sentinel://h/m"}, ""},
		{Config{Address: "redis+sentinel://h"}, "name of the primary"},
		{Config{Address: "redis+cluster://h/0"}, ""},
		{Config{Address: "redis+cluster://h/1"}, "only database 0"},
		{Config{Address: "a,b", DB: 1}, "only database 0"},
		{Config{Address: "redis+sentinel://a,b/m", DB: 1}, ""},
		{Config{Address: "a, b"}, ""},
		{Config{Address: "a,,b"}, "empty"},
		{Config{Address: "http://h"}, "scheme"},
		{Config{Address: "redis://u:s3cret@h/x"}, `database "x"`},
	} {
		client, err := Open(c.Config)
		if c.why == "" && err != nil || c.why != "" && (!errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%+v: %v, want %q", c.Config, err, c.why)
		}
		if client != nil {
			client.Close()
		}
	}
}

// What is given beside an address counts more than what the address says.
func TestOptionsOverTheAddress(t *testing.T) {
	o, err := Config{Address: "redis://u:p@h/2", Username: "me", Password: "mine", DB: 3, PoolSize: 4, Timeout: time.Second}.options()
	if err != nil {
		t.Fatal(err)
	}
	if o.Username != "me" || o.Password != "mine" || o.DB != 3 || o.PoolSize != 4 || o.ReadTimeout != 1200*time.Millisecond {
		t.Errorf("%+v", o)
	}
	o, err = Config{Address: "redis+sentinel://a,b/theirs"}.options()
	if err != nil || o.MasterName != "theirs" || o.IsClusterMode || o.DialTimeout != 2*time.Second || o.ReadTimeout != 3200*time.Millisecond {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestAnswers(t *testing.T) {
	for said, want := range map[string]struct {
		answer string
		kind   error
	}{
		"OOM command not allowed":                              {"OOM command not allowed", fault.Unavailable},
		"ERR max number of clients":                            {"ERR max number of clients", fault.Unavailable},
		"ERR something else":                                   {"ERR something else", fault.Invalid},
		"NOAUTH Authentication":                                {"NOAUTH Authentication", fault.Denied},
		"WRONGPASS invalid":                                    {"WRONGPASS invalid", fault.Denied},
		"ERR invalid password":                                 {"ERR invalid password", fault.Denied},
		"ERR ACL failure in script":                            {"ERR ACL failure in script", fault.Denied},
		"The user executing the script can't run this command": {"The user executing the script can't run this command", fault.Denied},
		"ERR Error running script (call to f_1): @user_script:8: @user_script: 8: -READONLY You can't write": {"READONLY You can't write", fault.Unavailable},
		"ERR Error running script (call to f_1): @user_script: 8: OOM command not allowed":                   {"OOM command not allowed", fault.Unavailable},
		"ERR Error running script (call to f_1): @user_script: 8: WRONGTYPE Operation":                       {"WRONGTYPE Operation", fault.Invalid},
		"ERR Error running script (call to f_1): @user_script: 8: NOPERM this user":                          {"NOPERM this user", fault.Denied},
		"ERR Error running script (call to f_1): attempt to index nil":                                       {"ERR Error running script (call to f_1): attempt to index nil", fault.Invalid},
		"ERR Error compiling script (new function): -LOADING":                                                {"LOADING", fault.Unavailable},
		"ERR Error compiling script (new function): x: -LOADING it":                                          {"LOADING it", fault.Unavailable},
		"ERR said: -LOADING": {"ERR said: -LOADING", fault.Invalid},
	} {
		err := fmt.Errorf("eval: %w", redisError(said))
		if got := Answer(err); got != want.answer {
			t.Errorf("%q is the answer %q, want %q", said, got, want.answer)
		}
		for how, got := range map[string]error{"read": ReadError(err), "write": WriteError(err)} {
			if fault.KindOf(got) != want.kind || !errors.Is(got, err) {
				t.Errorf("%q of a %s is %v, want %v", said, how, got, want.kind)
			}
		}
	}
	for _, err := range []error{nil, redis.Nil, io.EOF, fmt.Errorf("x: %w", redis.Nil)} {
		if got := Answer(err); got != "" {
			t.Errorf("%v is an answer: %q", err, got)
		}
	}
	for _, c := range []struct{ err, read, write error }{
		{redis.ErrClosed, fault.Unavailable, fault.Unavailable},
		{redis.ErrPoolExhausted, fault.Unavailable, fault.Unavailable},
		{&net.OpError{Op: "read", Err: io.EOF}, fault.Unavailable, fault.UnknownOutcome},
		{context.Canceled, context.Canceled, fault.UnknownOutcome},
		{fault.NotFound, fault.NotFound, fault.NotFound},
	} {
		if read, write := ReadError(c.err), WriteError(c.err); fault.KindOf(read) != c.read || fault.KindOf(write) != c.write {
			t.Errorf("%v: %v and %v, want %v and %v", c.err, read, write, c.read, c.write)
		}
	}
}

func TestFieldsOfInfo(t *testing.T) {
	const info = "# Memory\r\nused_maxmemory:1\r\nmaxmemory:5\r\nmaxmemory_policy:allkeys-lru\r\nempty:\r\nlast:x"
	for name, want := range map[string]string{"maxmemory": "5", "maxmemory_policy": "allkeys-lru", "empty": "", "last": "x", "none": "", "axmemory": ""} {
		if got := Field(info, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := Field("first:1\r\n", "first"); got != "1" {
		t.Errorf("first is %q", got)
	}
}

// The error of a call is its context's, but for what the server answered.
func TestErrorsOfCallsThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, cancel := context.WithCancel(t.Context())
		cancel()
		late := &bounded{t.Context(), time.Now()}
		early := &bounded{t.Context(), time.Now().Add(1)}
		for _, c := range []struct {
			ctx       context.Context
			err, want error
		}{
			{t.Context(), nil, nil}, {over, nil, nil}, {t.Context(), io.EOF, io.EOF}, {over, io.EOF, context.Canceled},
			{late, io.EOF, context.DeadlineExceeded}, {early, io.EOF, io.EOF}, {over, redisError("ERR x"), redisError("ERR x")}, {over, redis.Nil, redis.Nil},
		} {
			if got := ended(c.ctx, c.err); got != c.want {
				t.Errorf("%v became %v, want %v", c.err, got, c.want)
			}
		}
	})
}

// A call ends after the client's time or at its context's deadline, whichever is first;
// one that blocks at its context's alone.
func TestLimitsOfCalls(t *testing.T) {
	given := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer given.Close()
	ours, err := Open(Config{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	users, err := Open(Config{Client: given, Timeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	long, cancel := context.WithDeadline(t.Context(), began.Add(time.Hour))
	defer cancel()
	limit := func(ctx context.Context) (time.Time, error) {
		end, ok := ctx.Deadline()
		if !ok {
			return end, errors.New("no deadline")
		}
		return end, nil
	}
	for name, client := range map[string]*Client{"ours": ours, "the user's": users} {
		for _, c := range []struct {
			ctx            context.Context
			call, blocking time.Duration
		}{
			{context.WithoutCancel(t.Context()), 3 * time.Second, 3 * time.Second}, {t.Context(), 3 * time.Second, 3 * time.Second},
			{long, 3 * time.Second, time.Hour}, {&bounded{t.Context(), began.Add(time.Second)}, time.Second, time.Second},
		} {
			call, err := Do(c.ctx, client, limit)
			blocking, err2 := DoBlocking(c.ctx, client, limit)
			took := time.Since(began)
			for want, got := range map[time.Duration]time.Duration{c.call: call.Sub(began), c.blocking: blocking.Sub(began)} {
				if got < want-time.Millisecond || got > want+took || err != nil || err2 != nil {
					t.Errorf("%s: a limit of %v, want %v; %v, %v", name, got, want, err, err2)
				}
			}
		}
	}
	if n := ours.calls.n.Load(); n != 0 {
		t.Errorf("%d calls are on their way, want none", n)
	}
	ours.calls.byDeadline.Range(func(any, any) bool { t.Error("a call that has ended is known"); return false })
}

// A client that is shared, or the user's, stays open.
func TestWhoClosesWhat(t *testing.T) {
	given := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1})
	other := redis.NewClusterClient(&redis.ClusterOptions{})
	defer other.Close()
	users, _ := Open(Config{Client: given})
	cluster, _ := Open(Config{Client: other})
	ours, err := Open(Config{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	closed := func(c *Client) bool { return errors.Is(c.UniversalClient.Ping(t.Context()).Err(), redis.ErrClosed) }
	waiting := ours.Waiting()
	for _, c := range []*Client{ours.Shared(), waiting, users, users.Waiting(), users.Shared()} {
		if err := c.Close(); err != nil || closed(c) {
			t.Errorf("%v: closed %v, %v, want it open", c, closed(c), err)
		}
	}
	if ours.Waiting().UniversalClient != waiting.UniversalClient || waiting.UniversalClient == ours.UniversalClient || users.Waiting().UniversalClient != given {
		t.Error("not one client for what waits, or not one of its own, or not the user's")
	}
	if err := errors.Join(ours.Close(), ours.Close()); err != nil || !closed(ours) || !closed(waiting) || !closed(ours.Waiting()) {
		t.Errorf("Close = %v, and it is closed: %v, what waits: %v", err, closed(ours), closed(waiting))
	}
	late, err := Open(Config{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	late.Close()
	if !closed(late.Waiting()) {
		t.Error("what waits on an engine that is closed is open")
	}
	keeps := []bool{ours.KeepsDeadlines(), users.KeepsDeadlines(), cluster.KeepsDeadlines(), (&Client{engine: &engine{}}).KeepsDeadlines()}
	if !slices.Equal(keeps, []bool{true, true, false, false}) {
		t.Errorf("deadlines are kept: %v", keeps)
	}
	given.Close()
}
