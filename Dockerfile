# An image of the team server. NOT TESTED: no test builds or runs it; docs/server.md has what is tested.
FROM python:3.11-slim
COPY . /src
RUN pip install --no-cache-dir "/src[server]" && rm -rf /src \
    && useradd --system --create-home --home-dir /var/lib/mlfoundry mlfoundry
USER mlfoundry
VOLUME /var/lib/mlfoundry
EXPOSE 8090
# MLFOUNDRY_SERVER_DATABASE comes from the environment; --hosts and more may be added behind the image's name.
ENTRYPOINT ["mlfoundry", "server", "--host", "0.0.0.0", "--artifacts", "/var/lib/mlfoundry/artifacts"]
CMD ["--hosts", "localhost"]
