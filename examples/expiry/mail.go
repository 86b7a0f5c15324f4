package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"net/smtp"
	"net/textproto"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

const (
	sender      = "no-reply@acme.example"
	mailTimeout = time.Minute // for one mail, from the connection to the server's last response
)

var (
	errRejected = errors.New("the mail is rejected")                  // 5xx: it would be rejected again
	errDeferred = errors.New("the mail server asks to send it later") // 4xx
)

// A mail has one recipient, and an ID that is the same whenever it is sent.
type mail struct {
	to   string
	text []byte // with its header, and lines that end with CRLF
}

type mailer interface {
	// send returns nil if the mail server has accepted the mail.
	send(ctx context.Context, m mail) error
}

// newMail has no text of users in its header, and quotes the name of the token: otherwise,
// the name could add lines that look like those of the service.
func newMail(to, id string, c *auth.Credential, now time.Time) (mail, error) {
	address, err := netmail.ParseAddress(to)
	if err != nil || address.Address != to { // a line break would add header lines, or SMTP commands
		return mail{}, fmt.Errorf("%w: the user has no valid address", errRejected)
	}
	var text bytes.Buffer
	for _, line := range []string{
		"From: Acme <" + sender + ">",
		"To: " + address.String(),
		"Subject: Your " + label(c.Kind) + " expires soon",
		"Date: " + now.UTC().Format(time.RFC1123Z),
		"Message-ID: <" + id + "@acme.example>",
		"Auto-Submitted: auto-generated", // RFC 3834: no automatic reply
		"MIME-Version: 1.0",
		"Content-Type: text/plain; charset=utf-8",
		"Content-Transfer-Encoding: quoted-printable",
	} {
		text.WriteString(line + "\r\n")
	}
	text.WriteString("\r\n")
	body := quotedprintable.NewWriter(&text)
	fmt.Fprintf(body, "Your %s", label(c.Kind))
	if c.Name != "" {
		fmt.Fprintf(body, " %q", c.Name)
	}
	if c.Hint != "" {
		fmt.Fprintf(body, " (%s)", c.Hint)
	}
	fmt.Fprintf(body, " expires on %s.\r\n", c.ExpiresAt.UTC().Format("2 January 2006 at 15:04 UTC"))
	if c.LastUsedAt.IsZero() {
		fmt.Fprint(body, "It has never been used. If you do not need it, you can ignore this mail.\r\n")
	} else {
		fmt.Fprintf(body, "It was last used on %s. If you need it, rotate it in Developer Settings.\r\n", c.LastUsedAt.UTC().Format("2 January 2006"))
	}
	body.Close() // a bytes.Buffer returns no error
	return mail{to, text.Bytes()}, nil
}

func label(kind auth.Kind) string {
	if kind == auth.KindSecret {
		return "client secret"
	}
	return "access token"
}

// A printer prints mails.
type printer struct{ w io.Writer }

func (p printer) send(_ context.Context, m mail) error {
	_, err := fmt.Fprintf(p.w, "%s\n\n", m.text)
	return err
}

// An smtpServer is the host and port of a server that accepts mail without a password,
// for example one on the same machine.
type smtpServer string

func (s smtpServer) send(ctx context.Context, m mail) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", string(s))
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(string(s))
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	if err := client.Mail(sender); err != nil { // about this service: it holds for all mails
		return err
	}
	if err := transfer(client, m); err != nil {
		return aboutThisMail(err)
	}
	client.Quit() // the server has accepted the mail, whatever it responds now
	return nil
}

func transfer(client *smtp.Client, m mail) error {
	if err := client.Rcpt(m.to); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m.text); err != nil {
		return err
	}
	return w.Close() // returns nil only if the server responds with 250
}

// aboutThisMail tells the server's rejections from a connection that broke.
func aboutThisMail(err error) error {
	var response *textproto.Error
	switch {
	case !errors.As(err, &response):
		return err
	case response.Code >= 500:
		return fmt.Errorf("%w: %w", errRejected, err)
	}
	return fmt.Errorf("%w: %w", errDeferred, err)
}
