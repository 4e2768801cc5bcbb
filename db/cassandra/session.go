package cassandra

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
)

// sessions makes the session on first use, since making one asks the server.
type sessions struct {
	c    config
	life *life.Life
	dial *dialer
	log  logger

	mu      sync.Mutex
	session *gocql.Session // nil: not made yet
	making  chan struct{}  // closed when an attempt has ended; nil: there is none
	err     error          // of the last attempt
}

// get returns the session. Those who ask at the same time wait for one
// attempt, which goes on when they have left.
func (s *sessions) get(ctx context.Context) (*gocql.Session, error) {
	s.mu.Lock()
	if s.session != nil {
		defer s.mu.Unlock()
		return s.session, nil
	}
	making := s.making
	if making == nil {
		making = make(chan struct{})
		s.making = making
		s.life.Go(func(context.Context) { s.make(making) })
	}
	s.mu.Unlock()
	select {
	case <-making:
	case <-ctx.Done():
		return nil, fault.Markf(fault.Unavailable, "no connection to %s yet: %w", strings.Join(s.c.hosts, ","), ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session, s.err
}

func (s *sessions) make(done chan struct{}) {
	defer close(done)
	session, err := s.c.connect(s.dial, s.log)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session, s.making, s.err = session, nil, nil
	if err != nil {
		kind := fault.Unavailable
		if refused(err) {
			kind = fault.Denied
		} else if s.c.tls == nil {
			err = conn.HungUp(err)
		}
		s.session, s.err = nil, fault.Markf(kind, "%s: %w", strings.Join(s.c.hosts, ","), err)
	}
}

// close closes the session unless it is the caller's.
func (s *sessions) close() {
	s.life.Close(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c.client != nil {
		return
	}
	// The driver, closed while it begins to follow the cluster's state by a new
	// connection, waits for that state, up to 10 s and at worst indefinitely. So it
	// gets the time to learn it; then its connections are closed and it gets no
	// others, so that nothing new begins.
	s.dial.settle(5 * time.Second)
	s.dial.close()
	if s.session == nil {
		return
	}
	closed := make(chan struct{})
	go func() { s.session.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(25 * time.Second):
		s.c.log.Warn("cassandra: the driver does not end, and is left without connections")
	}
}

// connect makes a session.
func (c *config) connect(dial *dialer, log logger) (*gocql.Session, error) {
	cluster := gocql.NewCluster(c.hosts...)
	cluster.Dialer, cluster.Port = dial, c.port
	cluster.Timeout, cluster.WriteTimeout, cluster.ConnectTimeout = c.answer, c.answer, dialTimeout
	cluster.Consistency, cluster.SerialConsistency = c.consistency, c.serial()
	cluster.NumConns = c.maxConns
	cluster.Metadata.CacheMode = gocql.KeyspaceOnly // to know who has the copies
	// A node that is down is asked again every second: with a single node, or
	// after a power cut, nothing else would bring it back.
	cluster.ReconnectInterval = time.Second
	cluster.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 1, Interval: 100 * time.Millisecond}
	nodes := gocql.RoundRobinHostPolicy()
	if c.local != "" {
		nodes = gocql.DCAwareRoundRobinPolicy(c.local)
	}
	cluster.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(nodes, gocql.ShuffleReplicas())
	cluster.Logger = log
	cluster.HostFilter = dial
	if c.user != "" || c.password != "" {
		cluster.Authenticator = gocql.PasswordAuthenticator{Username: c.user, Password: c.password}
	}
	if c.tls != nil {
		cluster.SslOpts = &gocql.SslOptions{Config: c.tls, EnableHostVerification: !c.tls.InsecureSkipVerify}
	}
	session, err := cluster.CreateSession()
	dial.made()
	if err != nil && c.password != "" && strings.Contains(err.Error(), c.password) {
		hidden := errors.New("no session (what the server said has the password in it)")
		if refused(err) {
			return nil, fault.Mark(fault.Denied, hidden)
		}
		return nil, hidden
	}
	return session, err
}

// serial is where lightweight transactions are decided.
func (c *config) serial() gocql.Consistency {
	if c.consistency == gocql.Quorum {
		return gocql.Serial
	}
	return gocql.LocalSerial
}
