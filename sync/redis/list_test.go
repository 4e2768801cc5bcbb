package redis_test

import (
	"context"
	"testing"

	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/redis"
	goredis "github.com/redis/go-redis/v9"
)

// twice answers each key of a SCAN twice, as a server may.
type twice struct{}

func (twice) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (twice) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (twice) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := next(ctx, cmd)
		if scan, ok := cmd.(*goredis.ScanCmd); ok {
			keys, cursor := scan.Val()
			scan.SetVal(append(keys, keys...), cursor)
		}
		return err
	}
}

// What SCAN says twice is listed once, and a hash that somebody else has made is
// not listed.
func TestListOfOddAnswers(t *testing.T) {
	t.Parallel()
	server := servertest.SharedRedis(t)
	e, err := engine.Open(server.Addr(), engine.WithHook(twice{}))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Client().HSet(t.Context(), "sync/listed-twice/lock/foreign", "", "1 2").Err(); err != nil {
		t.Fatal(err)
	}
	s, err := dsync.New(redis.On(e), dsync.WithNamespace("listed-twice"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := s.Lock(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock(context.Background())
	var all []dsync.Hold
	for h, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	if len(all) != 1 || all[0].ID != "x" || all[0].Token != l.Token() {
		t.Errorf("List = %+v, want x once", all)
	}
}
