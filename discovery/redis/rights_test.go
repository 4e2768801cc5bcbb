package redis_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/internal/servertest"
	goredis "github.com/redis/go-redis/v9"
)

// TestRights: what a user may not do is said by what needs it, and by nothing else.
func TestRights(t *testing.T) {
	t.Parallel()
	server := servertest.Redis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	owner, err := discovery.New(redis.Backend(server.Addr()), discovery.WithTimeout(backendtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if _, err := owner.Register(t.Context(), discovery.Instance{Service: "s", ID: "theirs", Address: "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		lacks []string
		fails string
	}{
		{nil, ""},
		{[]string{"expire"}, "register"}, // of the index
		{[]string{"subscribe"}, "get"},
		{[]string{"zcount"}, "services"},
		{[]string{"zrange"}, "get services"},
		{[]string{"time"}, "register get services"},
		{[]string{"eval", "evalsha"}, "register get"},
	} {
		user := fmt.Sprint("user-", i)
		acl := []any{"acl", "setuser", user, "on", ">secret", "~*", "&*", "+@all"}
		for _, command := range c.lacks {
			acl = append(acl, "-"+command)
		}
		if err := admin.Do(t.Context(), acl...).Err(); err != nil {
			t.Fatal(err)
		}
		d, err := discovery.New(redis.Backend("redis://"+user+":secret@"+server.Addr()), discovery.WithTimeout(backendtest.Patience))
		if err != nil {
			t.Fatal(err)
		}
		denied := backendtest.Without(t, fmt.Sprint(c.lacks))
		_, err = d.Register(t.Context(), discovery.Instance{Service: "s", ID: user, Address: "127.0.0.1:1"})
		denied.Note("register", err)
		_, err = d.Get(t.Context(), "s")
		denied.Note("get", err)
		_, err = d.Services(t.Context())
		denied.Note("services", err)
		denied.Want(c.fails)
		if err := d.Close(); err != nil {
			t.Errorf("without %v: Close: %v", c.lacks, err)
		}
	}
}

// A right that is taken away from a program, and given back, shows in its heartbeats:
// also that of the index, which would forget the service a day later.
func TestRightsThatChange(t *testing.T) {
	t.Parallel()
	l := newListening(t)
	acl := func(rules ...any) {
		t.Helper()
		if err := l.admin.Do(t.Context(), append([]any{"acl", "setuser", "user"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	acl("on", ">secret", "~*", "&*", "+@all")
	d, err := discovery.New(redis.Backend("redis://user:secret@"+l.addr), discovery.WithTTL(time.Second), discovery.WithTimeout(backendtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r, err := d.Register(t.Context(), discovery.Instance{Service: "s", ID: "a", Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ without, with []any }{
		{[]any{"-eval", "-evalsha"}, []any{"+eval", "+evalsha"}}, {[]any{"-expire"}, []any{"+expire"}},
	} {
		acl(c.without...)
		l.eventually(fmt.Sprint("a heartbeat fails with ", c.without), func() bool { return errors.Is(r.Err(), discovery.ErrDenied) })
		acl(c.with...)
		l.eventually(fmt.Sprint("a heartbeat succeeds with ", c.with), func() bool { return r.Err() == nil })
	}
}
