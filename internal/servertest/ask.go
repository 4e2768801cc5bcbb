package servertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// answerWithin bounds one question to a server that may not be ready.
const answerWithin = 2 * time.Second

// get returns the body of a successful GET.
func get(url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	// A transport of its own without keep-alives, so that nothing stays behind.
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	rsp, err := tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(rsp.Body)
	if err == nil && rsp.StatusCode/100 != 2 {
		err = fmt.Errorf("GET %s: %s: %s", url, rsp.Status, body)
	}
	return string(body), err
}

// answers returns a readiness check: a GET whose body contains want.
func answers(portName, path, want string) func(*Server) error {
	return func(s *Server) error {
		body, err := get("http://" + s.AddrOf(portName) + path)
		if err == nil && !strings.Contains(body, want) {
			err = fmt.Errorf("GET %s: got %q, want one with %q", path, body, want)
		}
		return err
	}
}

// dial connects with a deadline on everything that follows.
func dial(addr string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", addr, answerWithin)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(answerWithin))
}

// accepts is the readiness check of servers that serve as soon as they listen.
func accepts(s *Server) error {
	c, err := dial(s.Addr())
	if err != nil {
		return err
	}
	return c.Close()
}

// says returns a readiness check: the server has logged text since it was started.
func says(text string) func(*Server) error {
	return func(s *Server) error {
		b, err := os.ReadFile(s.logfile())
		if err == nil && !strings.Contains(string(b[min(s.began, int64(len(b))):]), text) {
			err = fmt.Errorf("the log doesn't say %q", text)
		}
		return err
	}
}

// resp sends one command to a Redis server and returns its reply: string, int64, []any or nil.
func resp(addr string, args ...string) (any, error) {
	c, err := dial(addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return nil, err
	}
	return readReply(bufio.NewReader(c))
}

func readReply(r *bufio.Reader) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return nil, errors.New("empty reply")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, errors.New(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reply %q: %w", line, err)
	}
	switch kind {
	case ':':
		return n, nil
	case '$':
		if n < 0 {
			return nil, nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return string(b[:n]), err
	case '*':
		items := make([]any, max(n, 0))
		for i := range items {
			if items[i], err = readReply(r); err != nil {
				return nil, err
			}
		}
		return items, nil
	}
	return nil, fmt.Errorf("reply %q is of no known kind", line)
}
