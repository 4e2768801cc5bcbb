// Package redis is the one place where a connection to Redis is made:
// addresses, sentinels, clusters, TLS, passwords, what an error means, and a
// cancel that takes effect at once. The redis backends of all public packages
// share it.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
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
	Master             string      // name of the primary; makes Address one of sentinels
	Cluster            bool        // Address is of a cluster
	TLS                *tls.Config // also with a plain address; nil: the scheme decides

	DialTimeout time.Duration // of one connection; 0: 2 s
	Timeout     time.Duration // of one answer; 0: 3 s
	PoolSize    int           // connections to a node; 0: 10 for each processor

	Client redis.UniversalClient // the user's own; Close leaves it open
}

// Client is a client and whether it is ours to close. Commands are sent once:
// what may be sent again is for the caller to know.
type Client struct {
	redis.UniversalClient
	addr  string
	owned bool
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
		return &Client{UniversalClient: c.Client, addr: "the client given"}, nil
	}
	o, err := c.options()
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	quiet()
	client := &Client{addr: strings.Join(o.Addrs, ","), owned: true}
	switch {
	case o.MasterName != "":
		f := o.Failover()
		client.UniversalClient = redis.NewFailoverClient(f)
	case o.IsClusterMode:
		c := o.Cluster()
		// A primary that died tells nobody where its slots went: the client asks
		// another node when what it knows is this old, by default after a minute.
		c.ClusterStateReloadInterval = 2 * time.Second
		client.UniversalClient = redis.NewClusterClient(c)
	default:
		client.UniversalClient = redis.NewClient(o.Simple())
	}
	return client, nil
}

// quiet keeps the client from writing to standard error, once: what it has to
// say comes as errors. A program that wants the lines sets a logger of its own
// after it has opened its first store.
var quiet = sync.OnceFunc(func() { redis.SetLogger(&logging.VoidLogger{}) })

// options reads the address and puts the rest over it.
func (c Config) options() (*redis.UniversalOptions, error) {
	o := &redis.UniversalOptions{
		Username: c.Username, Password: c.Password, DB: c.DB, MasterName: c.Master, TLSConfig: c.TLS,
		IsClusterMode: c.Cluster, PoolSize: c.PoolSize,
		DialTimeout: c.DialTimeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout,

		// A command that is sent twice may be done twice; only who sends it
		// knows whether that does harm. A dial that failed is an answer.
		MaxRetries: -1, DialerRetries: 1,
		ContextTimeoutEnabled: true, // else deadlines are ignored
		Protocol:              2,
		DisableIdentity:       true,
		// Announcements of maintenance need Redis Enterprise.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		// Movements within a cluster are answers that say where to go: such a
		// command was not done.
		MaxRedirects: 5,
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 2 * time.Second
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout, o.WriteTimeout = 3*time.Second, 3*time.Second
	}
	if c.PoolSize < 0 || c.DB < 0 || c.Timeout < 0 || c.DialTimeout < 0 {
		return nil, errors.New("negative pool size, database or timeout")
	}
	// Several hosts share scheme, user and path: "redis://u:p@a,b/0" is cut
	// into addresses of one host each.
	scheme, rest, isURL := strings.Cut(c.Address, "://")
	user, path := "", ""
	if !isURL {
		scheme, rest = "", c.Address
	} else {
		scheme += "://"
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			rest, path = rest[:i], rest[i:]
		}
		if i := strings.LastIndexByte(rest, '@'); i >= 0 {
			user, rest = rest[:i+1], rest[i+1:]
		}
	}
	for _, host := range strings.Split(rest, ",") {
		a, err := conn.Parse(scheme+user+strings.TrimSpace(host)+path, schemes...)
		if err != nil {
			return nil, err
		}
		o.Addrs = append(o.Addrs, a.HostPort())
		if o.Username == "" {
			o.Username = a.User
		}
		if o.Password == "" {
			o.Password = a.Password
		}
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
	if o.IsClusterMode = (o.IsClusterMode || len(o.Addrs) > 1) && o.MasterName == ""; o.IsClusterMode && o.DB != 0 {
		return nil, errors.New("a cluster has only database 0")
	}
	if o.MasterName != "" {
		o.SentinelUsername, o.SentinelPassword = "", ""
	}
	return o, nil
}

// place reads what kind of place the address is and its path.
func place(o *redis.UniversalOptions, a conn.Address) error {
	switch {
	case strings.HasSuffix(a.Scheme, "+sentinel"):
		if o.MasterName == "" {
			o.MasterName = a.Path
		}
		if o.MasterName == "" {
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

// Owned reports whether the client is ours: not one that the user brought.
func (c *Client) Owned() bool { return c.owned }

// Close closes the client unless the user brought it.
func (c *Client) Close() error {
	if !c.owned {
		return nil
	}
	return c.UniversalClient.Close()
}

// Ping asks for a sign of life. Its error is Unavailable and names the address.
func (c *Client) Ping(ctx context.Context) error {
	_, err := Do(ctx, func(ctx context.Context) (string, error) { return c.UniversalClient.Ping(ctx).Result() })
	if err != nil {
		return fault.Markf(fault.Unavailable, "no answer from %s: %w", c.addr, err)
	}
	return nil
}

// Do runs f and returns when it has or when ctx ends, whichever is first: the
// client itself looks at deadlines only. f then ends by its own timeout.
func Do[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	if ctx.Done() == nil {
		return f(ctx)
	}
	type result struct {
		v   T
		err error
	}
	c := make(chan result, 1)
	go func() {
		v, err := f(ctx)
		c <- result{v, err}
	}()
	select {
	case r := <-c:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// ReadError gives the error of a command that changes nothing its kind.
func ReadError(err error) error { return kind(err, false) }

// WriteError gives the error of a command that changes something its kind:
// UnknownOutcome, unless Redis answered or was not reached.
func WriteError(err error) error { return kind(err, true) }

// refusals are the answers of a server that has done nothing because it
// cannot now.
var refusals = []string{
	"LOADING", "MASTERDOWN", "CLUSTERDOWN", "READONLY", "TRYAGAIN", "BUSY", "MISCONF", "NOREPLICAS", "OOM",
	"NOAUTH", "WRONGPASS", "NOPERM", "ERR max number of clients", "MOVED", "ASK",
}

func kind(err error, write bool) error {
	if err == nil || fault.KindOf(err) == fault.NotFound {
		return err
	}
	var answer redis.Error
	if errors.As(err, &answer) && !errors.Is(err, redis.Nil) {
		for _, r := range refusals {
			if strings.HasPrefix(answer.Error(), r) {
				return fault.Mark(fault.Unavailable, err)
			}
		}
		return fault.Mark(fault.Invalid, err)
	}
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial",
		errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolExhausted):
		return fault.Mark(fault.Unavailable, err)
	case write:
		return fault.Mark(fault.UnknownOutcome, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, io.EOF), op != nil:
		return fault.Mark(fault.Unavailable, err)
	}
	return fault.Mark(fault.Unavailable, err)
}
