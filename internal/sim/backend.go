package sim

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Backend is a server on a host of the world, the model of one that package tests
// can't take into a bubble. It is asked over connections that carry one call at a time, since HTTP
// would take most of a run's time.
type Backend struct {
	host   *Host
	port   int
	answer func(op string, body []byte) any

	mu     sync.Mutex
	l      net.Listener
	conns  map[net.Conn]bool
	serves sync.WaitGroup
}

// Serve begins to answer calls, with what answer returns as JSON.
func (h *Host) Serve(port int, answer func(op string, body []byte) any) *Backend {
	b := &Backend{host: h, port: port, answer: answer}
	b.Start()
	return b
}

// Start serves again after Stop.
func (b *Backend) Start() {
	l, err := b.host.Listen(b.port)
	if err != nil {
		panic(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.l, b.conns = l, map[net.Conn]bool{}
	b.serves.Go(func() { b.accept(l) })
}

// Stop ends the server's process. What the model knows stays as it is.
func (b *Backend) Stop() {
	b.mu.Lock()
	_ = b.l.Close()
	for c := range b.conns {
		_ = c.Close()
	}
	b.conns = nil
	b.mu.Unlock()
	b.serves.Wait()
}

func (b *Backend) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		if b.conns == nil { // it was stopped
			_ = c.Close()
		} else {
			b.conns[c] = true
			b.serves.Go(func() { b.serve(c) })
		}
		b.mu.Unlock()
	}
}

func (b *Backend) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.conns, c)
	}()
	r := bufio.NewReaderSize(c, 512)
	for {
		call, err := readFrame(r)
		if err != nil {
			return
		}
		n := int(call[0])
		reply, err := json.Marshal(b.answer(string(call[1:1+n]), call[1+n:]))
		if err != nil {
			panic(err)
		}
		if err := writeFrame(c, reply); err != nil {
			return
		}
	}
}

// A frame is its length and what has that.
func writeFrame(w io.Writer, parts ...[]byte) error {
	frame := make([]byte, 4, 512)
	for _, p := range parts {
		frame = append(frame, p...)
	}
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	_, err := w.Write(frame)
	return err
}

func readFrame(r *bufio.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, frame)
	return frame, err
}

// Client asks a Backend, from a host. Its connections are used again, as those of
// an http.Transport are.
type Client struct {
	addr string
	host *Host

	mu     sync.Mutex
	idle   []*clientConn
	closed bool
}

type clientConn struct {
	*conn
	r *bufio.Reader
}

// Client returns a client of the backend at an address.
func (h *Host) Client(addr string) *Client { return &Client{addr: addr, host: h} }

// ErrUnsent is that of a call that was certainly not sent.
var ErrUnsent = errors.New("not sent")

// Call asks for op. After an error that is not ErrUnsent the backend may have done it.
func (c *Client) Call(ctx context.Context, op string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	conn, err := c.connection(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsent, err)
	}
	over := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	reply, err := conn.ask(op, body)
	if !over() { // the context has ended, so that the connection is of no use
		_ = conn.Close()
		if err != nil {
			err = ctx.Err()
		}
	} else if err != nil {
		_ = conn.Close()
	} else {
		c.giveBack(conn)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(reply, out)
}

func (c *clientConn) ask(op string, body []byte) ([]byte, error) {
	if err := writeFrame(c, []byte{byte(len(op))}, []byte(op), body); err != nil {
		return nil, err
	}
	return readFrame(c.r)
}

func (c *Client) connection(ctx context.Context) (*clientConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for {
		c.mu.Lock()
		n := len(c.idle)
		if n == 0 {
			c.mu.Unlock()
			break
		}
		conn := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		if conn.quiet() {
			return conn, nil
		}
		_ = conn.Close() // the server has closed it, or its machine was started again
	}
	made, err := c.host.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	return &clientConn{made.(*conn), bufio.NewReaderSize(made, 512)}, nil
}

func (c *Client) giveBack(conn *clientConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return
	}
	c.idle = append(c.idle, conn)
}

// Close closes the connections, now or when the calls on them have ended.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.idle {
		_ = conn.Close()
	}
	c.idle = nil
}
