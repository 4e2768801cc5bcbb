// Package redis is the one place where a connection to Redis is made:
// addresses, sentinels, clusters, TLS, passwords, what an error means, and a
// cancel that takes effect at once. The redis backends of all public packages
// share it. The client is go-redis; nothing here speaks the protocol.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Config says how to reach Redis. Either Address or Client is set.
type Config struct {
	// Address is "host", "host:port" or a URL:
	//
	//	redis://user:password@host:6379/2         rediss:// with TLS; the path is the database
	//	redis://a:6379,b:6379,c:6379              a cluster, found through any of them
	//	redis+cluster://host:6379                 a cluster, found through one of its nodes
	//	redis+sentinel://a:26379,b:26379/mymaster the primary that sentinels know by the name
	//
	// rediss+cluster and rediss+sentinel use TLS. "a:6379,b:6379" is a cluster.
	Address string

	Username, Password string      // override those of a URL
	DB                 int         // overrides that of a URL if not 0
	TLS                *tls.Config // also with a plain address; nil: the scheme decides

	Timeout  time.Duration // of one answer; 0: 3 s
	PoolSize int           // connections to a node; 0: 10 for each processor

	// Adjust changes what the client is made of: credentials providers, names,
	// buffers, limits of the pool.
	Adjust []func(*redis.UniversalOptions)
	Hooks  []redis.Hook // of the client

	Client redis.UniversalClient // the user's own; Close leaves it open
}

// Client is an engine as one backend has it: its own, or one that it shares.
// Commands are sent once: what may be sent again is for the caller to know.
type Client struct {
	redis.UniversalClient
	*engine
	shared bool // Close is for others to call
}

// engine is what all that share one have in common.
type engine struct {
	addr    string
	owned   bool // made here, not by the user
	secure  bool
	timeout time.Duration // of one answer
	calls   calls         // that a context's end interrupts

	options func() *redis.UniversalOptions // of another client, nil for the user's
	hooks   []redis.Hook
	mu      sync.Mutex
	waiting redis.UniversalClient // nil: nobody has asked for it
	closed  bool
}

// schemes that addresses may have, by what they mean.
var schemes = []conn.Scheme{
	{Name: "redis", Port: 6379}, {Name: "rediss", Port: 6379},
	{Name: "redis+cluster", Port: 6379}, {Name: "rediss+cluster", Port: 6379},
	{Name: "redis+sentinel", Port: 26379}, {Name: "rediss+sentinel", Port: 26379},
}

// Open builds the client that c describes. It connects to nothing.
func Open(c Config) (*Client, error) {
	if c.Client != nil {
		return &Client{UniversalClient: c.Client, engine: &engine{addr: "the client given", timeout: c.timeout()}}, nil
	}
	o, err := c.options()
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	e := &engine{addr: strings.Join(o.Addrs, ","), owned: true, secure: o.TLSConfig != nil, timeout: c.timeout(), hooks: c.Hooks}
	o.Dialer = dialer(&e.calls, o.TLSConfig, o.DialTimeout)
	o.OnConnect = named("go-platform")
	for _, adjust := range c.Adjust {
		adjust(o)
	}
	o.MaxRetries, o.ContextTimeoutEnabled = -1, true // no write is sent twice, and a context ends its call
	e.options = func() *redis.UniversalOptions { o := *o; return &o }
	return &Client{UniversalClient: e.build(e.options()), engine: e}, nil
}

// build makes a client of the engine's.
func (e *engine) build(o *redis.UniversalOptions) (client redis.UniversalClient) {
	switch {
	case o.MasterName != "":
		client = redis.NewFailoverClient(o.Failover())
	case o.IsClusterMode:
		c := o.Cluster()
		// A primary that died tells nobody where its slots went: the client asks
		// another node when what it knows is this old, by default after a minute.
		c.ClusterStateReloadInterval = 2 * time.Second
		client = redis.NewClusterClient(c)
	default:
		client = redis.NewClient(o.Simple())
	}
	for _, h := range e.hooks {
		client.AddHook(h)
	}
	return client
}

// Shared returns the engine for a backend that does not close it.
func (c *Client) Shared() *Client {
	return &Client{UniversalClient: c.UniversalClient, engine: c.engine, shared: true}
}

// Waiting returns the engine's client for commands that block, so that those
// which wait take no connection from those that work: it has connections of its
// own, one for each command that blocks. A client of the user's is used for both.
func (c *Client) Waiting() *Client {
	if !c.owned {
		return c.Shared()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		o := c.options()
		o.PoolSize = maxWaiting
		c.waiting = c.build(o)
		if c.closed {
			_ = c.waiting.Close() // what is sent fails as it does on the other one
		}
	}
	return &Client{UniversalClient: c.waiting, engine: c.engine, shared: true}
}

// maxWaiting bounds the commands that block at the same time.
const maxWaiting = 1 << 12

// timeout bounds one answer.
func (c Config) timeout() time.Duration { return cmp.Or(c.Timeout, 3*time.Second) }

// dialTimeout bounds one attempt to connect, so that another server is tried while
// a call has time left.
const dialTimeout = 2 * time.Second

// spare is what the client waits longer for than a call does, so that the
// call's own deadline is always the one that counts.
const spare = 200 * time.Millisecond

// options reads the address and puts the rest over it.
func (c Config) options() (*redis.UniversalOptions, error) {
	o := &redis.UniversalOptions{
		Username: c.Username, Password: c.Password, DB: c.DB, TLSConfig: c.TLS, PoolSize: c.PoolSize,
		DialTimeout: dialTimeout, ReadTimeout: c.timeout() + spare, WriteTimeout: c.timeout() + spare,

		// A command that is sent twice may be done twice; only who sends it
		// knows whether that does harm. A dial that failed is an answer.
		MaxRetries: -1, DialerRetries: 1,
		ContextTimeoutEnabled: true, // else deadlines are ignored
		PipelinePoolSize:      -1,   // one pool, so that its size is the bound
		Protocol:              2,
		DisableIdentity:       true,
		// Announcements of maintenance need Redis Enterprise.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		// Movements within a cluster are answers that say where to go: such a
		// command was not done.
		MaxRedirects: 5,
	}
	if c.PoolSize < 0 || c.DB < 0 || c.Timeout < 0 {
		return nil, errors.New("negative pool size, database or timeout")
	}
	for host := range conn.Hosts(c.Address) {
		a, err := conn.Parse(host, schemes...)
		if err != nil {
			return nil, err
		}
		err = a.CheckSecret()
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", conn.Redact(c.Address), err)
		}
		o.Addrs = append(o.Addrs, a.HostPort())
		o.Username, o.Password = cmp.Or(o.Username, a.User), cmp.Or(o.Password, a.Password)
		if len(a.Query) > 0 {
			return nil, fmt.Errorf("address %q has parameters, want none", conn.Redact(c.Address))
		}
		if strings.HasPrefix(a.Scheme, "rediss") && o.TLSConfig == nil {
			o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if err := place(o, a); err != nil {
			return nil, fmt.Errorf("address %q: %w", conn.Redact(c.Address), err)
		}
	}
	o.IsClusterMode = (o.IsClusterMode || len(o.Addrs) > 1) && o.MasterName == ""
	if o.IsClusterMode && o.DB != 0 {
		return nil, errors.New("a cluster has only database 0")
	}
	return o, nil
}

// place reads what kind of place the address is and its path.
func place(o *redis.UniversalOptions, a conn.Address) error {
	switch {
	case strings.HasSuffix(a.Scheme, "+sentinel"):
		o.MasterName = a.Path
		if a.Path == "" {
			return errors.New("sentinels need the name of the primary, as in redis+sentinel://host/mymaster")
		}
		return nil
	case strings.HasSuffix(a.Scheme, "+cluster"):
		o.IsClusterMode = true
	}
	if a.Path == "" {
		return nil
	}
	db, err := strconv.Atoi(a.Path)
	if err != nil || db < 0 {
		return fmt.Errorf("database %q, want a number", a.Path)
	}
	if o.DB == 0 {
		o.DB = db
	}
	return nil
}

// Addr returns where the client was told to connect, for errors.
func (c *Client) Addr() string { return c.addr }

// Owned reports whether the client is made here, not by the user.
func (c *Client) Owned() bool { return c.owned }

// Timeout bounds one answer.
func (c *Client) Timeout() time.Duration { return c.timeout }

// KeepsDeadlines reports whether a command ends at its context's deadline, also
// if only Deadline tells of it.
func (c *Client) KeepsDeadlines() bool {
	if c.owned {
		return true
	}
	switch u := c.UniversalClient.(type) {
	case *redis.Client:
		return u.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		return u.Options().ContextTimeoutEnabled
	}
	return false
}

// Close closes the client, unless it is shared or the user brought it. The
// second time it does nothing.
func (c *Client) Close() error {
	if c.shared || !c.owned {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	err := c.UniversalClient.Close()
	if c.waiting != nil {
		err = errors.Join(err, c.waiting.Close())
	}
	return err
}

// Ping asks for a sign of life. Its error names the address, and is Denied if
// the server refuses the user, else Unavailable.
func (c *Client) Ping(ctx context.Context) error {
	_, err := Do(ctx, c, func(ctx context.Context) (string, error) { return c.UniversalClient.Ping(ctx).Result() })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, redis.ErrClosed):
		return ReadError(err)
	case fault.KindOf(ReadError(err)) == fault.Denied:
		return fault.Markf(fault.Denied, "%s refuses: %w", c.addr, err)
	case errors.Is(err, io.EOF) && c.owned && !c.secure:
		return fault.Markf(fault.Unavailable, "%s hung up: does the port expect TLS? %w", c.addr, err)
	}
	return fault.Markf(fault.Unavailable, "no answer from %s: %w", c.addr, err)
}
