package kafka

import (
	"context"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
)

// connecting returns what a client was given to reach the cluster with, so that
// others can be made beside it. What it consumes and produces is its own.
func connecting(c *kgo.Client) []kgo.Opt {
	opts := []kgo.Opt{kgo.MetadataMinAge(100 * time.Millisecond)}
	if hosts, ok := c.OptValue(kgo.SeedBrokers).([]string); ok {
		opts = append(opts, kgo.SeedBrokers(hosts...))
	}
	if dial, ok := c.OptValue(kgo.Dialer).(func(context.Context, string, string) (net.Conn, error)); ok && dial != nil {
		opts = append(opts, kgo.Dialer(dial)) // TLS is in it
	}
	if mechanisms, ok := c.OptValue(kgo.SASL).([]sasl.Mechanism); ok && len(mechanisms) > 0 {
		opts = append(opts, kgo.SASL(mechanisms...))
	}
	if id, ok := c.OptValue(kgo.ClientID).(string); ok && id != "" {
		opts = append(opts, kgo.ClientID(id))
	}
	if hooks, ok := c.OptValue(kgo.WithHooks).([]kgo.Hook); ok {
		opts = append(opts, kgo.WithHooks(hooks...))
	}
	if l, ok := c.OptValue(kgo.WithLogger).(kgo.Logger); ok && l != nil {
		opts = append(opts, kgo.WithLogger(l))
	}
	return opts
}
