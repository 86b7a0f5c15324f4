// Mcp is a server of the Model Context Protocol over HTTP, whose tools act as the user who calls them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	mcpauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-31c5bcb2/auth"
)

// newHandler returns the handler of an MCP server.
func newHandler(bearer *auth.Bearer, stateless bool) http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "acme-notes", Version: "1.0.0"}, nil)
	server.AddReceivingMiddleware(asCaller)
	mcp.AddTool(server, &mcp.Tool{Name: "add_note", Description: "Adds a note."}, addNote)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
		Stateless:      stateless,
		SessionTimeout: time.Hour,
	})
	tokenInfo := mcpauth.RequireBearerToken(verify, &mcpauth.RequireBearerTokenOptions{AllowMissingExpiration: true})
	return auth.Require(bearer)(watched(tokenInfo(handler)))
}

type note struct {
	Text string `json:"text" jsonschema:"the text of the note"`
}

// addNote is a tool. The client gets the text of its error.
func addNote(ctx context.Context, _ *mcp.CallToolRequest, in note) (*mcp.CallToolResult, any, error) {
	if err := auth.CheckScope(ctx, "notes:write"); err != nil {
		return nil, nil, clientError(ctx, err)
	}
	id, _ := auth.FromContext(ctx)
	text := fmt.Sprintf("%s notes %q", id.UserID, in.Text)
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
}

// clientError returns an error whose text the client may see. That of err may have a reason.
func clientError(ctx context.Context, err error) error {
	auth.Report(ctx, err)
	text := "internal: An internal error occurred."
	var rejected *auth.Error
	if errors.As(err, &rejected) {
		text = rejected.Code() + ": " + rejected.Detail()
	}
	return errors.New(text)
}

func main() {
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		log.Fatal(err)
	}
	token, _, err := bearer.Issue(context.Background(), "alice", auth.TokenOptions{
		Name: "assistant", Scopes: []string{"notes:write"}, Lifetime: 24 * time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://127.0.0.1:8080/mcp with the header\nAuthorization: Bearer %s\n", token)
	http.Handle("/mcp", newHandler(bearer, true))
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}
