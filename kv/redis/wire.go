package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/micro/go-platform/internal/conn/stream"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
)

// wire is the way of gets, puts and scripts to one server. It speaks the
// protocol (RESP2, https://redis.io/docs/latest/develop/reference/protocol-spec/)
// over connections of its own, made as the client would make them: that lets a
// cancelled context end a round trip at once, and costs half of what the
// client's pipelines do.
type wire struct {
	pool stream.Pool
	opts *goredis.Options
	d    *driver
}

func newWire(d *driver, opts *goredis.Options) *wire {
	w := &wire{opts: opts, d: d}
	w.pool = stream.Pool{Dial: w.dial, Timeout: d.timeout, MaxIdle: 16}
	return w
}

// dial makes a connection, says who we are and chooses the database.
func (w *wire) dial(ctx context.Context) (*stream.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, w.opts.DialTimeout)
	defer cancel()
	nc, err := w.opts.Dialer(ctx, "tcp", w.opts.Addr)
	if err != nil {
		return nil, err
	}
	c := stream.NewConn(nc)
	deadline, _ := ctx.Deadline()
	_ = nc.SetDeadline(deadline)
	var greeting [][]string
	switch {
	case w.opts.Username != "":
		greeting = append(greeting, []string{"AUTH", w.opts.Username, w.opts.Password})
	case w.opts.Password != "":
		greeting = append(greeting, []string{"AUTH", w.opts.Password})
	}
	if w.opts.DB != 0 {
		greeting = append(greeting, []string{"SELECT", strconv.Itoa(w.opts.DB)})
	}
	for _, command := range greeting {
		begin(c.W, len(command))
		for _, word := range command {
			bulk(c.W, word)
		}
	}
	err = c.W.Flush()
	for range greeting {
		if err == nil {
			_, err = readReply(c.R)
		}
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// send makes one round trip.
func (w *wire) send(ctx context.Context, ops []*op) {
	size := 0
	for _, o := range ops {
		size += len(o.key) + len(o.value)
	}
	moved := false
	err := w.pool.Trip(ctx, size, func(c *stream.Conn) {
		for _, o := range ops {
			w.write(c.W, o)
		}
	}, func(c *stream.Conn, err error) bool {
		for _, o := range ops {
			if err == nil {
				err = w.read(c.R, o)
			}
			if err != nil {
				o.err = err
			} else if o.err != nil && goredis.HasErrorPrefix(o.err, "READONLY") {
				moved = true
			}
		}
		return err == nil && !moved
	})
	if err != nil {
		if fault.KindOf(err) != kv.ErrUnavailable {
			err = fault.Mark(kv.ErrUnavailable, err)
		}
		for _, o := range ops {
			o.err = err
		}
	}
	if moved { // this was the primary once
		w.pool.Drop()
	}
}

// begin starts a command of n words.
func begin(w *bufio.Writer, n int) {
	b := append(w.AvailableBuffer(), '*')
	b = strconv.AppendInt(b, int64(n), 10)
	w.Write(append(b, '\r', '\n'))
}

func bulk[T string | []byte](w *bufio.Writer, s T) {
	b := append(w.AvailableBuffer(), '$')
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, '\r', '\n')
	if len(s) < 512 {
		b = append(b, s...)
		w.Write(append(b, '\r', '\n'))
		return
	}
	w.Write(b)
	w.Write([]byte(s))
	w.WriteString("\r\n")
}

func number(w *bufio.Writer, n int64) {
	var b [20]byte
	bulk(w, strconv.AppendInt(b[:0], n, 10))
}

// write adds o's commands: what queue does for the client.
func (w *wire) write(b *bufio.Writer, o *op) {
	switch o.kind {
	case opGet:
		b.WriteString("*2\r\n$3\r\nGET\r\n")
		bulk(b, o.key)
		b.WriteString("*2\r\n$4\r\nPTTL\r\n")
		bulk(b, o.key)
		return
	case opSet:
		if o.ttl > 0 {
			b.WriteString("*5\r\n$3\r\nSET\r\n")
		} else {
			b.WriteString("*3\r\n$3\r\nSET\r\n")
		}
		bulk(b, o.key)
		bulk(b, o.value)
		if o.ttl > 0 {
			b.WriteString("$2\r\nPX\r\n")
			number(b, o.ttl)
		}
	case opDelete:
		b.WriteString("*2\r\n$3\r\nDEL\r\n")
		bulk(b, o.key)
	default:
		writeScript(b, o)
	}
	if !w.d.silent {
		b.WriteString("*3\r\n$7\r\nPUBLISH\r\n$")
		b.Write(strconv.AppendInt(b.AvailableBuffer(), int64(len(channelPrefix)+len(o.key)), 10))
		b.WriteString("\r\n" + channelPrefix)
		b.WriteString(o.key)
		b.WriteString("\r\n$0\r\n\r\n")
	}
}

// writeScript is what queueScript does for the client.
func writeScript(b *bufio.Writer, o *op) {
	words := 7 // with a condition or a delta
	if o.kind == opPutIf {
		words++
	}
	if o.ttl > 0 {
		words++
	}
	begin(b, words)
	if script := o.kind.script(); o.whole {
		b.WriteString("$4\r\nEVAL\r\n")
		bulk(b, script.text)
	} else {
		b.WriteString("$7\r\nEVALSHA\r\n")
		bulk(b, script.Hash())
	}
	b.WriteString("$1\r\n2\r\n")
	bulk(b, o.key)
	bulk(b, o.mark)
	number(b, o.request)
	if o.kind == opAdd {
		number(b, o.n)
	} else {
		bulk(b, o.cond)
	}
	if o.kind == opPutIf {
		bulk(b, o.value)
	}
	if o.ttl > 0 {
		number(b, o.ttl)
	}
}

// read takes o's answers. Its own error means that the connection is of no more
// use.
func (w *wire) read(r *bufio.Reader, o *op) error {
	o.err = nil
	first, err := readReply(r)
	if err := keepAnswer(o, err); err != nil {
		return err
	}
	if o.kind == opGet {
		life, err := readReply(r)
		if err := keepAnswer(o, err); err != nil {
			return err
		}
		if o.err == nil {
			o.item, o.err = makeItem(o.key, first.bulk, first.null, time.Duration(life.n)*time.Millisecond)
		}
		return nil
	}
	if o.scripted() && o.err == nil {
		if o.n = first.n; first.bulk != nil { // a sum
			o.n, o.err = strconv.ParseInt(string(first.bulk), 10, 64)
		}
	}
	if !w.d.silent {
		_, err := readReply(r)
		return keepAnswer(&op{}, err) // whether it could be told changes nothing
	}
	return nil
}

// keepAnswer stores an error that is the server's answer in o, and returns
// another one.
func keepAnswer(o *op, err error) error {
	if _, ok := err.(goredis.Error); ok {
		if o.err == nil {
			o.err = err
		}
		return nil
	}
	return err
}

// reply is one answer: a number, or bytes, or nothing.
type reply struct {
	n    int64
	bulk []byte
	null bool
}

// serverError is an answer that begins with "-".
type serverError string

func (e serverError) Error() string { return string(e) }

// RedisError makes it what the client takes for an answer.
func (serverError) RedisError() {}

var errProtocol = errors.New("the answer is not Redis's")

// maxBulk is the longest string that Redis has.
const maxBulk = 512 << 20

// readReply reads a simple string, an error, a number or a bulk string.
func readReply(r *bufio.Reader) (reply, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			err = errProtocol
		}
		return reply{}, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return reply{}, errProtocol
	}
	kind, text := line[0], line[1:len(line)-2]
	switch kind {
	case '+':
		return reply{bulk: append([]byte(nil), text...)}, nil
	case '-':
		return reply{}, serverError(text)
	case ':', '$':
		n, err := strconv.ParseInt(string(text), 10, 64)
		switch {
		case err != nil, kind == '$' && (n < -1 || n > maxBulk):
			return reply{}, fmt.Errorf("%w: %.20q", errProtocol, line)
		case kind == ':':
			return reply{n: n}, nil
		case n == -1:
			return reply{null: true}, nil
		}
		return readBulk(r, int(n))
	}
	return reply{}, fmt.Errorf("%w: %.20q", errProtocol, line)
}

// ahead is how much memory an announced length gets before the bytes are here.
const ahead = 64 << 10

func readBulk(r *bufio.Reader, n int) (reply, error) {
	b := make([]byte, 0, min(n, ahead))
	for len(b) < n {
		b = slices.Grow(b, min(n-len(b), ahead))
		here := len(b)
		b = b[:min(n, cap(b))]
		if _, err := io.ReadFull(r, b[here:]); err != nil {
			return reply{}, err
		}
	}
	var end [2]byte
	if _, err := io.ReadFull(r, end[:]); err != nil {
		return reply{}, err
	}
	if end != [2]byte{'\r', '\n'} {
		return reply{}, errProtocol
	}
	return reply{bulk: b}, nil
}
