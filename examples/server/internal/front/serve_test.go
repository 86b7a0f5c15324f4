package front

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pipes is a listener for the ends of pipes, which synctest can wait for.
type pipes struct {
	conns chan net.Conn
	ended chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.ended)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A connection without a request does not delay the end of the process. A request in
// progress is finished.
func TestServe_shutDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		srv := httpServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			time.Sleep(2 * time.Second)
		}), logger)
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		go srv.Serve(l)
		unused, far := net.Pipe()
		l.conns <- far
		used, far := net.Pipe()
		l.conns <- far
		go func() {
			_, err := io.WriteString(used, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			assert.NoError(t, err)
			answer, err := io.ReadAll(used)
			assert.NoError(t, err)
			assert.Contains(t, string(answer), "HTTP/1.1 200 OK")
		}()
		time.Sleep(time.Second)
		closed := make(chan time.Duration)
		start := time.Now()
		go func() {
			_, err := unused.Read(make([]byte, 1))
			assert.ErrorIs(t, err, io.EOF)
			closed <- time.Since(start)
		}()
		go shutDown(srv, logger)
		require.Equal(t, unusedGrace, <-closed)
		time.Sleep(5 * time.Second)
		require.Empty(t, log.String())
		used.Close()
	})
}
