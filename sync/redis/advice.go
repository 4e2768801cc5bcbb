package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	redisconn "github.com/micro/go-platform/internal/conn/redis"
)

// advice warns about a server that may evict locks. One that does not say how it
// is set up gets the benefit of the doubt.
func (n *node) advice(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	info, err := redisconn.Do(ctx, n.conn, func(ctx context.Context) (string, error) { return n.conn.Info(ctx, "memory").Result() })
	if err != nil {
		return ""
	}
	limit, policy := field(info, "maxmemory"), field(info, "maxmemory_policy")
	if limit == "" || limit == "0" || policy == "" || policy == "noeviction" {
		return ""
	}
	return fmt.Sprintf("Redis at %s has maxmemory-policy %s and evicts locks when its memory is full, so that two may hold one: set noeviction", n.conn.Addr(), policy)
}

// field returns a value of INFO.
func field(info, name string) string {
	_, rest, ok := strings.Cut("\r\n"+info, "\r\n"+name+":")
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}
