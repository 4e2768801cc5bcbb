package redis

import (
	"context"
	"strings"
	"time"
)

// Eviction returns the maxmemory-policy by which the server removes keys when
// its memory is full, "" if it removes none. A server that does not say how it
// is set up, or not within a second, gets the benefit of the doubt; of a cluster
// one node is asked.
func (c *Client) Eviction(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	info, err := Do(ctx, c, func(ctx context.Context) (string, error) { return c.Info(ctx, "memory").Result() })
	if err != nil {
		return ""
	}
	limit, policy := field(info, "maxmemory"), field(info, "maxmemory_policy")
	if limit == "" || limit == "0" || policy == "noeviction" {
		return ""
	}
	return policy
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
