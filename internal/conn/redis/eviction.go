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
	limit, policy := Field(info, "maxmemory"), Field(info, "maxmemory_policy")
	if limit == "" || limit == "0" || policy == "noeviction" {
		return ""
	}
	return policy
}

// Field returns a value of INFO, "" if it is not there.
func Field(info, name string) string {
	_, rest, _ := strings.Cut("\r\n"+info, "\r\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}
