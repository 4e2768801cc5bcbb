// Package rabbitmq is the one place where connections to RabbitMQ are made:
// addresses, TLS, credentials, recovery, and what an error means.
package rabbitmq

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Config says how to reach RabbitMQ.
type Config struct {
	// Address is "host", "host:port", a URL with the scheme amqp or amqps and
	// the virtual host as its path, or several of one cluster with commas
	// between the hosts.
	Address string

	Username, Password string
	TLS                *tls.Config
	Timeout            time.Duration // of one answer; 0: 10 s
	MaxMessage         int           // bytes of a body; 0: 16 MiB

	// Adjust changes what connections are made of.
	Adjust []func(*amqp.Config)
}

// dialTimeout bounds one attempt to connect to one host, with the handshakes of
// TLS and AMQP.
const dialTimeout = 5 * time.Second

// heartbeat is the interval on shared connections: one on which nothing came for
// three of them is closed and made again.
const heartbeat = 10 * time.Second

// DefaultMaxMessage is max_message_size of RabbitMQ 4; before, it was 128 MiB.
const DefaultMaxMessage = 16 << 20

// Conn is a RabbitMQ that connections can be made to, and those that are shared.
type Conn struct {
	*engine
	shared bool // Close leaves them open
}

type engine struct {
	c    Config
	uris []amqp.URI
	addr string

	mu     sync.Mutex
	links  map[string]*Link // by what they are for
	closed bool
}

// Open reads the configuration and connects to nothing.
func Open(c Config) (*Conn, error) {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = DefaultMaxMessage
	}
	e := &engine{c: c, links: map[string]*Link{}}
	if err := e.parse(); err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	return &Conn{engine: e}, nil
}

// Shared returns the connections for somebody whose Close leaves them open.
func (c *Conn) Shared() *Conn { return &Conn{engine: c.engine, shared: true} }

// Close closes all connections. It may be called again.
func (c *Conn) Close() error {
	if c.shared {
		return nil
	}
	c.mu.Lock()
	links := c.links
	c.links, c.closed = nil, true
	c.mu.Unlock()
	for _, l := range links {
		l.end()
	}
	return nil
}

// MaxMessage is how many bytes the body of a message may have.
func (e *engine) MaxMessage() int { return e.c.MaxMessage }

// parse cuts the address into hosts, which share scheme, user and virtual host.
func (e *engine) parse() error {
	schemes := []conn.Scheme{{Name: "amqp", Port: 5672}, {Name: "amqps", Port: 5671}}
	if e.c.TLS != nil {
		schemes[0], schemes[1] = schemes[1], schemes[0] // an address without a scheme has the first one's port
	}
	var shown []string
	for host := range conn.Hosts(e.c.Address) {
		a, err := conn.Parse(conn.EscapeUserinfo(host), schemes...)
		if err != nil {
			return err
		}
		if err := a.CheckAuth(); err != nil {
			return fmt.Errorf("address %q: %w", conn.Redact(e.c.Address), err)
		}
		if len(a.Query) > 0 {
			return fmt.Errorf("address %q has parameters, want none", conn.Redact(e.c.Address))
		}
		u := amqp.URI{Scheme: "amqp", Host: a.Host, Port: a.Port, Username: "guest", Password: "guest", Vhost: "/"}
		if a.Scheme == "amqps" || e.c.TLS != nil {
			u.Scheme = "amqps"
		}
		switch {
		case e.c.Username != "":
			u.Username, u.Password = e.c.Username, e.c.Password
		case a.HasUser:
			u.Username, u.Password = a.User, a.Password
		}
		if a.Path != "" {
			u.Vhost = a.Path
		}
		e.uris = append(e.uris, u)
		shown = append(shown, a.HostPort())
	}
	e.addr = strings.Join(shown, ",")
	return nil
}

// dial connects to one of the hosts, beginning with any.
func (e *engine) dial(heartbeat time.Duration) (*amqp.Connection, *wire, error) {
	first := rand.IntN(len(e.uris))
	var err error
	for i := range e.uris {
		var c *amqp.Connection
		var w *wire
		c, w, err = e.dialOne(e.uris[(first+i)%len(e.uris)], heartbeat)
		if err == nil {
			return c, w, nil
		}
	}
	return nil, nil, err
}

func (e *engine) dialOne(u amqp.URI, heartbeat time.Duration) (*amqp.Connection, *wire, error) {
	w := &wire{}
	config := amqp.Config{
		Vhost: u.Vhost, Heartbeat: heartbeat, Locale: "en_US", Properties: amqp.NewConnectionProperties(),
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: u.Username, Password: u.Password}},
	}
	config.Properties.SetClientConnectionName("go-platform")
	if u.Scheme == "amqps" {
		config.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if e.c.TLS != nil {
			config.TLSClientConfig = e.c.TLS.Clone()
		}
	}
	for _, adjust := range e.c.Adjust {
		adjust(&config)
	}
	connect := config.Dial
	if connect == nil {
		connect = amqp.DefaultDial(dialTimeout)
	}
	config.Dial = func(network, addr string) (net.Conn, error) {
		c, err := connect(network, addr)
		if err != nil {
			return nil, err
		}
		if err := c.SetDeadline(time.Now().Add(dialTimeout)); err != nil { // until the handshakes are done
			c.Close()
			return nil, err
		}
		w.Conn = c
		return w, nil
	}
	// Only scheme and host count of this URL: the rest is in the configuration,
	// as it is and not escaped.
	at := url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(u.Host, strconv.Itoa(u.Port)), Path: "/"}
	c, err := amqp.DialConfig(at.String(), config)
	if err != nil {
		return nil, nil, dialError(at.Host, u.Scheme == "amqps", err)
	}
	return c, w, nil
}
