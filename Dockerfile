# An MCP server in a container. Over stdio, as a host starts it:
#   docker run -i --rm -e OMI_API_KEY -v omi-mcp:/data omi-conversations-mcp
# Over HTTP, for hosts on this computer:
#   docker run --rm -e OMI_API_KEY -e OMI_MCP_HTTP_TOKEN -v omi-mcp:/data -p 127.0.0.1:8765:8765 \
#     omi-conversations-mcp --transport http --host 0.0.0.0
# On the web, for whoever signs in: compose.yaml, and compose.replicas.yaml for two that share a PostgreSQL

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY omi_mcp ./omi_mcp
RUN python -m venv /opt/omi && /opt/omi/bin/pip install --no-cache-dir ".[postgres]"

FROM python:3.13-slim
LABEL io.modelcontextprotocol.server.name="io.github.omi-conversations-mcp/omi-conversations-mcp" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 omi && install --directory --owner=omi --mode=0700 /data
COPY --from=build /opt/omi /opt/omi
ENV OMI_MCP_DATA_DIR=/data PYTHONUNBUFFERED=1
USER omi
VOLUME /data
EXPOSE 8765
ENTRYPOINT ["/opt/omi/bin/omi-mcp"]
