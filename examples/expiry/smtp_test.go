package main

import (
	"bytes"
	"io"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A mailServer accepts mail over SMTP. A hook that is not nil gives a response.
type mailServer struct {
	address string

	mu     sync.Mutex
	onRcpt func(line string) string // before the response to RCPT
	onData func() string            // after the mail was accepted, before the response
	mails  []received
}

// A received mail is one that the server has accepted, even if the client did not get to know.
type received struct {
	*netmail.Message
	body string
}

func newMailServer(t *testing.T) *mailServer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &mailServer{address: listener.Addr().String()}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				s.serve(t, conn)
			})
		}
	})
	return s
}

func (s *mailServer) serve(t *testing.T, conn io.ReadWriteCloser) {
	text := textproto.NewConn(conn)
	text.PrintfLine("220 ready")
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		response := "250 ok"
		switch command, _, _ := strings.Cut(strings.ToUpper(line), " "); command {
		case "RCPT":
			if onRcpt, _ := s.hooks(); onRcpt != nil {
				response = onRcpt(line)
			}
		case "DATA":
			text.PrintfLine("354 go ahead")
			data, err := text.ReadDotBytes()
			if err != nil {
				return
			}
			response = s.accept(t, data)
		case "QUIT":
			response = "221 bye"
		}
		if text.PrintfLine("%s", response) != nil {
			return
		}
	}
}

func (s *mailServer) accept(t *testing.T, data []byte) string {
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Errorf("the mail server got %q: %v", data, err)
		return "554 no mail"
	}
	body, _ := io.ReadAll(m.Body)
	s.mu.Lock()
	s.mails = append(s.mails, received{Message: m, body: string(body)})
	s.mu.Unlock()
	if _, onData := s.hooks(); onData != nil {
		return onData()
	}
	return "250 ok"
}

func (s *mailServer) hooks() (onRcpt func(string) string, onData func() string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.onRcpt, s.onData
}

// on replaces the hooks.
func (s *mailServer) on(rcpt func(string) string, data func() string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRcpt, s.onData = rcpt, data
}

// take returns the mails since the last call.
func (s *mailServer) take() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	mails := s.mails
	s.mails = nil
	return mails
}
